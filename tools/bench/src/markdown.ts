import { doubts, ratios, servingCpu } from './against.ts';
import type { CpuMs, Machine, Result, RevealLine } from './result.ts';

/** All figures as Markdown. */
export function toMarkdown(result: Result, earlier: Result | null): string {
  return [
    machineText(result.machine),
    revealTable(result.reveal),
    ...result.reveal.flatMap(failureText),
    memoryTable(result.reveal),
    ...(result.ledger === null ? [] : [ledgerText(result.ledger)]),
    ...(result.profiles ?? []).map(profileText),
    ...(earlier === null ? [] : [againstText(result, earlier)]),
  ].join('\n\n');
}

export function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

function machineText({ cores, model, memoryBytes, system, node, broker, generator, startedAt }: Machine): string {
  const kafka = broker === 'apache' ? 'Apache Kafka' : 'the stand-in for Kafka';
  return [
    `${cores} cores of ${model}, ${Math.round(memoryBytes / 2 ** 30)} GiB, ${system}, Node ${node}, ${kafka}, load by ${generator} beside it, ${startedAt}.`,
    'CPU in µs a reveal; "serving" is gateway, vault and their PostgreSQL.',
  ].join('\n');
}

const CPU_COLUMNS: readonly [header: string, of: (cpu: CpuMs) => number][] = [
  ['gateway', ({ gateway }) => gateway],
  ['vault', ({ vault }) => vault],
  ['their PostgreSQL', ({ postgres }) => postgres],
  ['audit', ({ audit }) => audit],
  ['its PostgreSQL', ({ ledgerPostgres }) => ledgerPostgres],
  ['PostgreSQL, all', ({ sharedPostgres }) => sharedPostgres],
  ['broker', ({ broker }) => broker],
  ['generator', ({ generator }) => generator],
];

export const microseconds = (milliseconds: number) => Math.round(milliseconds * 1e3);

function revealTable(lines: readonly RevealLine[]): string {
  const header = ['connections', 'records', 'entries', 'bytes', 'instances', 'reveals/s', 'p50 ms', 'p99 ms', 'serving'];
  const rows = lines.map((line) => [
    line.connections,
    line.records,
    line.revealed > 1 ? `${line.entries}, ${line.revealed} revealed` : line.entries,
    line.contentBytes,
    line.instances,
    `${Math.round(line.revealsPerSecond)}${line.failures.length > 0 ? ' (FAILED)' : ''}`,
    line.p50Ms.toFixed(2),
    line.p99Ms.toFixed(2),
    microseconds(servingCpu(line)),
    ...CPU_COLUMNS.map(([, of]) => microseconds(of(line.cpuMsPerReveal))),
  ]);
  return table([...header, ...CPU_COLUMNS.map(([name]) => name)], rows);
}

const failureText = ({ connections, failures }: RevealLine) =>
  failures.length === 0 ? [] : [`**The figures of ${connections} connections do not count: ${failures.join(', ')}.**`];

function memoryTable(lines: readonly RevealLine[]): string {
  const last = lines.at(-1);
  if (last === undefined) return 'No reveals were measured.';
  const mebibytes = (bytes: number) => Math.round(bytes / 2 ** 20);
  const rows = Object.entries(last.memory).map(([part, { rssBytes, pssBytes }]) => [part, mebibytes(rssBytes), mebibytes(pssBytes)]);
  return `Memory after the last line, MiB:\n\n${table(['part', 'RSS', 'PSS'], rows)}`;
}

function ledgerText({ recordsPerSecond, cpuMsPerRecord, lagMsP50, lagMsP99, idleLagMsP50, idleLagMsP99 }: NonNullable<Result['ledger']>) {
  return [
    `The ledger followed ${Math.round(recordsPerSecond)} records/s at ${microseconds(cpuMsPerRecord)} µs each (64 connections).`,
    `From a reveal's answer to its record in the ledger: p50 ${Math.round(lagMsP50)} ms, p99 ${Math.round(lagMsP99)} ms under that load;`,
    `p50 ${Math.round(idleLagMsP50)} ms, p99 ${Math.round(idleLagMsP99)} ms one at a time.`,
  ].join('\n');
}

function profileText({ service, hottest }: NonNullable<Result['profiles']>[number]): string {
  const rows = hottest.map(({ name, part }) => [`${(part * 100).toFixed(1)} %`, `\`${name}\``]);
  return `Where ${service} itself spent its time:\n\n${table(['part', 'function'], rows)}`;
}

function againstText(result: Result, earlier: Result): string {
  const rows = ratios(result, earlier).map(({ line, revealsPerSecond, p99, cpu }) => [
    line.connections,
    line.records,
    line.entries,
    line.contentBytes,
    line.instances,
    ...[revealsPerSecond, p99, cpu].map((ratio) => ratio.toFixed(2)),
  ]);
  const header = ['connections', 'records', 'entries', 'bytes', 'instances', 'reveals/s', 'p99', 'serving CPU'];
  return [
    `Ratios to the run of ${earlier.machine.startedAt} (1.00 is the same):`,
    ...doubts(result.machine, earlier.machine).map((doubt) => `**${doubt}**`),
    table(header, rows),
  ].join('\n\n');
}

import { bareCpu, doubts, machineDifference, ratios, servingCpu } from './against.ts';
import type { CallLine, CpuMs, LedgerCosts, Machine, Result, RevealLine, Yardstick } from './result.ts';

/** All figures as Markdown. */
export function toMarkdown(result: Result, earlier: Result | null): string {
  return [
    machineText(result.machine),
    ...(result.reveal.length === 0 ? [] : [revealTable(result.reveal, result.machine.yardstick)]),
    ...(result.calls.length === 0 ? [] : [callTable(result.calls)]),
    ...[...result.reveal, ...result.calls].flatMap(failureText),
    ...result.reveal.slice(-1).map(memoryTable),
    ...(result.ledger === null ? [] : [ledgerText(result.ledger)]),
    ...(result.ledgerCosts === null ? [] : [ledgerCostsText(result.ledgerCosts)]),
    ...(result.profiles ?? []).map(profileText),
    ...(earlier === null ? [] : [againstText(result, earlier)]),
  ].join('\n\n');
}

export function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

function machineText({ cores, model, memoryBytes, system, node, broker, generator, startedAt, yardstick }: Machine): string {
  const kafka = broker === 'apache' ? 'Apache Kafka' : 'the stand-in for Kafka';
  return [
    `${cores} cores of ${model}, ${Math.round(memoryBytes / 2 ** 30)} GiB, ${system}, Node ${node}, ${kafka}, load by ${generator} beside it, ${startedAt}.`,
    'CPU in µs a reveal; "serving" is gateway, vault and their PostgreSQL.',
    ...(yardstick === undefined ? [] : [yardstickText(yardstick)]),
  ].join('\n');
}

function yardstickText(yardstick: Yardstick): string {
  const [before, after] = [microseconds(yardstick.cpuMsBefore), microseconds(yardstick.cpuMsAfter)];
  return `A bare node:http answer took ${before} µs before the reveals by 64 connections and ${after} after; "× bare" is serving as a multiple of their mean.`;
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

function revealTable(lines: readonly RevealLine[], yardstick: Yardstick | undefined): string {
  const header = ['connections', 'records', 'entries', 'bytes', 'instances', 'reveals/s', 'p50 ms', 'p99 ms', 'serving', '× bare'];
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
    yardstick === undefined ? '–' : (servingCpu(line) / bareCpu(yardstick)).toFixed(1),
    ...CPU_COLUMNS.map(([, of]) => microseconds(of(line.cpuMsPerReveal))),
  ]);
  return table([...header, ...CPU_COLUMNS.map(([name]) => name)], rows);
}

function callTable(lines: readonly CallLine[]): string {
  const header = ['call', 'connections', 'records', 'entries', 'calls/s', 'p50 ms', 'p99 ms'];
  const rows = lines.map((line) => [
    line.name,
    line.connections,
    line.records,
    line.entries,
    `${Math.round(line.perSecond)}${line.failures.length > 0 ? ' (FAILED)' : ''}`,
    line.p50Ms.toFixed(2),
    line.p99Ms.toFixed(2),
    ...CPU_COLUMNS.map(([, of]) => microseconds(of(line.cpuMs))),
  ]);
  return table([...header, ...CPU_COLUMNS.map(([name]) => name)], rows);
}

function failureText(line: RevealLine | CallLine): string[] {
  if (line.failures.length === 0) return [];
  const name = 'name' in line ? line.name : `revealing by ${line.connections} connections at ${line.records} records`;
  return [`**The figures of ${name} do not count: ${line.failures.join(', ')}.**`];
}

const mebibytes = (bytes: number) => Math.round(bytes / 2 ** 20);

function memoryTable({ memory }: RevealLine): string {
  const rows = Object.entries(memory).map(([part, { rssBytes, pssBytes }]) => [part, mebibytes(rssBytes), mebibytes(pssBytes)]);
  return `Memory after the last reveals, MiB:\n\n${table(['part', 'RSS', 'PSS'], rows)}`;
}

function ledgerCostsText({ withTree, withoutTree, proof, verifiedPerSecond, bytesPerRecord }: LedgerCosts): string {
  const rows = Object.entries({ with: withTree, without: withoutTree }).map(([name, figures]) => [
    `${name} the tree`,
    Math.round(figures.recordsPerSecond),
    microseconds(figures.cpuMsPerRecord),
    microseconds(figures.postgresMsPerRecord),
  ]);
  const { event, table: rowBytes, indexes, tree } = bytesPerRecord;
  const part = (1 - withTree.recordsPerSecond / withoutTree.recordsPerSecond) * 100;
  return [
    `The ledger by itself; the tree takes ${part.toFixed(1)} % of its speed:`,
    table(['append', 'records/s', 'CPU µs a record', 'its PostgreSQL'], rows),
    [
      `Proof of a record among ${proof.records}: p50 ${proof.p50Ms.toFixed(2)} ms, p99 ${proof.p99Ms.toFixed(2)} ms.`,
      `Verified: ${Math.round(verifiedPerSecond)} records/s.`,
      `Bytes a record: ${Math.round(event)} of its own; on disk ${Math.round(rowBytes)} in the table, ${Math.round(indexes)} in indexes,`,
      `${Math.round(tree)} for the tree.`,
    ].join('\n'),
  ].join('\n\n');
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
    machineDifference(result.machine, earlier.machine),
    ...doubts(result.machine, earlier.machine).map((doubt) => `**${doubt}**`),
    table(header, rows),
  ].join('\n\n');
}

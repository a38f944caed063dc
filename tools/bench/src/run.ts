import { cpus, release, totalmem, type } from 'node:os';
import { resolve } from 'node:path';
import { drive, type Bench } from './bench.ts';
import { Counts } from './counts.ts';
import { createEntry, revealOnce } from './entries.ts';
import { measureLag } from './lag.ts';
import { makeProfileFolder, profileServices, profileVariables } from './profile.ts';
import type { LedgerFigures, Machine, Result, RevealLine } from './result.ts';
import { measureReveals } from './reveal.ts';
import type { Settings } from './settings.ts';
import { Suite } from './suite.ts';

const SMALL = 40;
const FEW = 10;
/** At so many connections it is measured how the ledger follows. */
const FOLLOWED = 64;

/** What warming up, the lag and the ledger's catching up take, in loads. */
const WAITS = 6;

/** How much is measured. */
export interface Plan {
  /** How long a load lasts. */
  seconds: number;
  /** When all has to be over, from the start on: the loads are cut shorter where the suite took long to start. */
  deadlineSeconds: number;
  connections: readonly number[];
  /** How often the lag of the ledger is measured while nothing else runs. */
  lagProbes: number;
}

export const FULL: Plan = { seconds: 10, deadlineSeconds: Infinity, connections: [1, 16, 64, 256], lagProbes: 200 };
export const QUICK: Plan = { ...FULL, seconds: 4, deadlineSeconds: 50, lagProbes: 30 };

export interface RunOptions extends Omit<Settings, 'isQuick' | 'out' | 'against'> {
  plan: Plan;
  /** An empty folder. */
  directory: string;
  signal: AbortSignal;
  say: (line: string) => void;
}

export function describeMachine({ broker, generator }: Pick<Settings, 'broker' | 'generator'>): Machine {
  return {
    cores: cpus().length,
    model: cpus()[0]?.model ?? 'unknown',
    memoryBytes: totalmem(),
    system: `${type()} ${release()}`,
    node: process.versions.node,
    broker,
    generator: generator.name,
    startedAt: new Date().toISOString(),
  };
}

/** Runs everything that the settings ask for. */
export async function runBench(options: RunOptions): Promise<Result> {
  const { directory, broker, instances, generator, plan, signal, say } = options;
  const profile = options.profile === undefined ? undefined : resolve(options.profile);
  if (profile !== undefined) await makeProfileFolder(profile);
  const machine = describeMachine(options);
  const begin = performance.now();
  say(`Starting ${instances === 1 ? 'one' : instances} of each service, broker: ${broker}, generator: ${generator.name}.`);
  const suite = await Suite.start({ directory, broker, instances, signal, ...(profile && { variables: profileVariables(profile) }) });
  try {
    const counts = await Counts.open(suite);
    try {
      const left = plan.deadlineSeconds - (performance.now() - begin) / 1_000;
      const seconds = Math.max(1, Math.min(plan.seconds, Math.floor(left / (plan.connections.length + WAITS))));
      const bench = { suite, counts, generator, seconds, signal, say };
      await prepare(bench);
      const measured = await measureAll(bench, plan);
      return { ...measured, machine, ...(profile && { profiles: await profileServices(bench, profile) }) };
    } finally {
      await counts.close();
    }
  } finally {
    await suite.stop();
  }
}

/** A few entries and records, and code that has been compiled. */
async function prepare(bench: Bench): Promise<void> {
  const { suite, seconds, signal, say } = bench;
  for (let number = 0; number < FEW; number += 1) await createEntry(suite, `bench-${number}`, SMALL, signal);
  for (let number = 0; number < FEW; number += 1) await revealOnce(suite, `bench-${number}`, signal);
  say('Warming up.');
  await drive(bench, { method: 'GET', path: '/kms/reveal/bench-0.json', connections: FOLLOWED }, Math.ceil(seconds / 2));
}

async function measureAll(bench: Bench, { connections, lagProbes }: Plan): Promise<Omit<Result, 'machine'>> {
  const reveal: RevealLine[] = [];
  let ledger: LedgerFigures | null = null;
  for (const count of connections) {
    const { line, measured } = await measureReveals(bench, { handler: 'bench-0', revealed: 1, contentBytes: SMALL }, count);
    reveal.push(line);
    if (count === FOLLOWED) {
      const { audit, ledgerPostgres } = line.cpuMsPerReveal;
      const { arrived, seconds, succeeded } = measured;
      const cpuMsPerRecord = ((audit + ledgerPostgres) * succeeded) / Math.max(1, arrived);
      ledger = { recordsPerSecond: arrived / seconds, cpuMsPerRecord, ...(await measureLags(bench, lagProbes)) };
    }
  }
  return { reveal, ledger };
}

async function measureLags(bench: Bench, lagProbes: number): Promise<Omit<LedgerFigures, 'recordsPerSecond' | 'cpuMsPerRecord'>> {
  bench.say('Measuring the lag of the ledger.');
  await bench.counts.untilCaughtUp(bench.signal);
  const idle = await measureLag(bench, 'bench-0', (probes) => probes >= lagProbes);
  let isOver = false;
  const load = drive(bench, { method: 'GET', path: '/kms/reveal/bench-0.json', connections: FOLLOWED }, bench.seconds);
  const ended = load.finally(() => (isOver = true));
  const [busy] = await Promise.all([measureLag(bench, 'bench-1', () => isOver), ended]);
  return { lagMsP50: busy.p50, lagMsP99: busy.p99, idleLagMsP50: idle.p50, idleLagMsP99: idle.p99 };
}

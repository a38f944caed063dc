import { cpus, release, totalmem, type } from 'node:os';
import { join, resolve } from 'node:path';
import { drive, type Bench } from './bench.ts';
import { measureAuditReads, measureEntryReads, measureFirstReveals, measureWrites } from './calls.ts';
import { Counts } from './counts.ts';
import { createEntry, revealEach, revealOnce } from './entries.ts';
import { growEntries, growRecords } from './growth.ts';
import { measureLags } from './lag.ts';
import { measureLedgerCosts } from './ledger-costs.ts';
import type { Plan, Section } from './plan.ts';
import { makeProfileFolder, profileServices, profileVariables } from './profile.ts';
import type { Machine, Result, RevealLine } from './result.ts';
import { measureReveals } from './reveal.ts';
import type { Settings } from './settings.ts';
import { Suite, type SuiteSettings } from './suite.ts';
import { betweenYardsticks } from './yardstick.ts';

const SMALL = 40;
/** The contract's largest content. */
const LARGE = 65_536;
const FEW = 10;
/** At so many connections it is measured what else changes. */
const USUAL = 64;
/** What warming up, the yardstick, the lag and the ledger's catching up take, in loads. */
const WAITS = 8;

const ONE = { handler: 'bench-0', revealed: 1, contentBytes: SMALL };

export interface RunOptions extends Pick<Settings, 'broker' | 'generator' | 'instances' | 'profile'> {
  plan: Plan;
  /** An empty folder. */
  directory: string;
  signal: AbortSignal;
  say: (line: string) => void;
}

function describeMachine({ broker, generator }: Pick<Settings, 'broker' | 'generator'>): Machine {
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

/** A result without figures yet. */
export function beginResult(settings: Pick<Settings, 'broker' | 'generator'>): Result {
  return { reveal: [], ledger: null, calls: [], ledgerCosts: null, machine: describeMachine(settings) };
}

/** Measures everything that the plan has, into `result`: where a later part fails, the figures of those before are there. */
export async function runBench(options: RunOptions, result: Result): Promise<void> {
  const { instances, plan } = options;
  const profile = options.profile === undefined ? undefined : resolve(options.profile);
  if (profile !== undefined) await makeProfileFolder(profile);
  const sections = SECTIONS.filter(([name]) => plan.sections.includes(name));
  if (sections.length > 0 || profile !== undefined) {
    const variables = profile && { variables: profileVariables(profile) };
    const settings = { directory: join(options.directory, 'suite'), instances, brokers: instances > 1 ? 3 : 1, ...variables } as const;
    await withSuite(options, settings, async (bench) => {
      for (const [, measureSection] of sections) await measureSection(bench, plan, result);
      if (profile !== undefined) result.profiles = await profileServices(bench, profile);
    });
  }
  if (plan.sections.includes('scale')) await measureScale(options, result);
}

type MeasureSection = (bench: Bench, plan: Plan, result: Result) => Promise<void>;

/** In the order in which they leave the least behind for the next one. */
const SECTIONS: readonly [Section, MeasureSection][] = [
  ['reveal', measureRevealSection],
  [
    'contents',
    async (bench, _plan, { reveal }) => {
      await createEntry(bench.suite, 'large', LARGE, bench.signal);
      const large = { ...ONE, handler: 'large', contentBytes: LARGE };
      for (const connections of [1, USUAL]) reveal.push(await revealLine(bench, large, connections));
    },
  ],
  [
    'calls',
    async (bench, _plan, { calls }) => {
      for (const measureSome of [measureEntryReads, measureAuditReads, measureWrites]) calls.push(...(await measureSome(bench)));
    },
  ],
  [
    'entries',
    async (bench, { entries }, { reveal, calls }) => {
      reveal.push(await revealLine(bench, ONE, USUAL));
      await growEntries(bench, FEW, entries, SMALL);
      reveal.push(await revealLine(bench, ONE, USUAL));
      calls.push(...(await measureFirstReveals(bench, entries)));
      await revealEach(bench.suite, entries, bench.signal);
      reveal.push(await revealLine(bench, { ...ONE, handler: 'bench-{n}', revealed: entries }, USUAL));
      calls.push(...(await measureEntryReads(bench)));
    },
  ],
  [
    'records',
    async (bench, { records }, { reveal, calls }) => {
      reveal.push(await revealLine(bench, ONE, USUAL));
      await growRecords(bench, records);
      reveal.push(await revealLine(bench, ONE, USUAL));
      calls.push(...(await measureAuditReads(bench)));
    },
  ],
  [
    'ledger',
    async (bench, plan, result) => {
      await growRecords(bench, plan.records);
      result.ledgerCosts = await measureLedgerCosts(bench, plan);
    },
  ],
];

async function measureRevealSection(bench: Bench, { connections, lagProbes }: Plan, result: Result): Promise<void> {
  for (const count of connections) {
    if (count !== USUAL) {
      result.reveal.push(await revealLine(bench, ONE, count));
      continue;
    }
    const { value, yardstick } = await betweenYardsticks(bench, () => measureReveals(bench, ONE, count));
    const { line, measured } = value;
    result.reveal.push(line);
    result.machine.yardstick = yardstick;
    const { audit, ledgerPostgres } = line.cpuMsPerReveal;
    const cpuMsPerRecord = ((audit + ledgerPostgres) * measured.succeeded) / Math.max(1, measured.arrived);
    const lags = await measureLags(bench, { handler: ONE.handler, connections: USUAL, probes: lagProbes });
    result.ledger = { recordsPerSecond: measured.arrived / measured.seconds, cpuMsPerRecord, ...lags };
  }
}

const revealLine = async (...parameters: Parameters<typeof measureReveals>): Promise<RevealLine> =>
  (await measureReveals(...parameters)).line;

/** One and two of each service, on as many brokers, one after the other. */
async function measureScale(options: RunOptions, { reveal }: Result): Promise<void> {
  for (const instances of [1, 2]) {
    const settings = { directory: join(options.directory, `scale-${instances}`), instances, brokers: 3 } as const;
    await withSuite(options, settings, async (bench) => {
      for (const connections of [USUAL, 256]) reveal.push(await revealLine(bench, ONE, connections));
    });
  }
}

/** Starts a suite, with a few entries and code that has been compiled; `work` measures it; and everything ends. */
async function withSuite(
  { broker, generator, plan, signal, say }: RunOptions,
  settings: Omit<SuiteSettings, 'broker' | 'signal'>,
  work: (bench: Bench) => Promise<void>,
): Promise<void> {
  const begin = performance.now();
  say(`Starting ${settings.instances} of each service, broker: ${broker}, generator: ${generator.name}.`);
  const suite = await Suite.start({ ...settings, broker, signal });
  try {
    const counts = await Counts.open(suite);
    try {
      const left = plan.deadlineSeconds - (performance.now() - begin) / 1_000;
      const seconds = Math.max(1, Math.min(plan.seconds, Math.floor(left / (plan.connections.length + WAITS))));
      const bench = { suite, counts, generator, seconds, signal, say };
      await prepare(bench);
      await work(bench);
    } finally {
      await counts.close();
    }
  } finally {
    await suite.stop();
  }
}

async function prepare(bench: Bench): Promise<void> {
  const { suite, seconds, signal, say } = bench;
  for (let number = 0; number < FEW; number += 1) await createEntry(suite, `bench-${number}`, SMALL, signal);
  for (let number = 0; number < FEW; number += 1) await revealOnce(suite, `bench-${number}`, signal);
  say('Warming up.');
  await drive(bench, { method: 'GET', path: '/kms/reveal/bench-0.json', connections: USUAL }, Math.ceil(seconds / 2));
}

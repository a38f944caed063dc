import { join } from 'node:path';
import { StartupError } from '@kms/platform';
import { check, type Verdict } from './checker.ts';
import { Load, readClientLines } from './client.ts';
import { readJournal, readLedger, readMessages } from './evidence.ts';
import { FAULTS, type Fault, type Random } from './faults.ts';
import { LagWatch } from './lag.ts';
import { System, type SystemSettings } from './system.ts';

export interface ChaosSettings extends SystemSettings {
  seed: number;
  perSecond: number;
  /** How long faults strike, in milliseconds. Every fault strikes once even if that takes longer. */
  durationMs: number;
  /** Only the faults whose names have one of these in them; all without. */
  only?: readonly string[];
  /** Aborted: no further fault strikes, and what was done so far is checked. */
  signal?: AbortSignal;
  say: (line: string) => void;
}

export interface ChaosResult extends Verdict {
  strikes: Map<string, { count: number; longestLagMs: number }>;
}

/** The ledger is this close behind the journals when nothing is wrong, and again this soon after a fault, in milliseconds. */
const MAX_LAG_MS = 5_000;
const RECOVERY_MS = 60_000;
/** So long without a failed request, in milliseconds, and the system counts as sound. */
const SOUND_MS = 1_500;

/** Runs a system under load while faults strike it, then lets it come to rest and checks that nothing is lost. */
export async function runChaos(settings: ChaosSettings): Promise<ChaosResult> {
  const system = await System.start(settings);
  try {
    return await torment(system, settings);
  } finally {
    await system.stop();
  }
}

async function torment(system: System, settings: ChaosSettings): Promise<ChaosResult> {
  const { directory, perSecond, say } = settings;
  const file = join(directory, 'client.jsonl');
  const load = await Load.open({ gateways: system.gateways, apiKey: system.apiKey, file, perSecond });
  const lag = new LagWatch(system);
  const violations: string[] = [];
  await load.prepare();
  load.start();
  lag.start();
  let strikes: ChaosResult['strikes'];
  try {
    strikes = await strikeAll(system, settings, load, lag, violations).finally(() => load.stop());
    say('Quiet: waiting until the ledger has everything.');
    violations.push(...(await untilCaughtUp(lag, 0)));
  } finally {
    await lag.stop();
  }
  const { gateway, vault, audit } = system.databases;
  const journals = [await readJournal(gateway.ownerUrl), await readJournal(vault.ownerUrl)];
  const verdict = check({
    client: readClientLines(file),
    journal: journals.flatMap(({ journal }) => journal),
    brokenChains: journals.flatMap(({ brokenChains }) => brokenChains),
    topic: await readMessages(system.brokers),
    ...(await readLedger(audit.ownerUrl)),
  });
  return { strikes, counts: verdict.counts, violations: [...violations, ...verdict.violations] };
}

async function strikeAll(
  system: System,
  { seed, durationMs, only, say, signal }: ChaosSettings,
  load: Load,
  lag: LagWatch,
  violations: string[],
): Promise<ChaosResult['strikes']> {
  const random = fromSeed(seed);
  const faults = FAULTS.filter((fault) => fault.suits(system) && (only === undefined || only.some((part) => fault.name.includes(part))));
  if (faults.length === 0) throw new StartupError('There is no such fault, or none that suits these brokers and instances.');
  const strikes: ChaosResult['strikes'] = new Map();
  const deadline = performance.now() + durationMs;
  let order: Fault[] = [];
  for (let turn = 0; signal?.aborted !== true && (turn < faults.length || performance.now() < deadline); turn += 1) {
    if (turn % faults.length === 0) order = shuffle(faults, random);
    const fault = order[turn % faults.length] as Fault;
    const longestLagMs = await strikeOnce(system, fault, random, load, lag, violations);
    const before = strikes.get(fault.name) ?? { count: 0, longestLagMs: 0 };
    strikes.set(fault.name, { count: before.count + 1, longestLagMs: Math.max(before.longestLagMs, longestLagMs) });
    say(`${fault.name}: lag up to ${(longestLagMs / 1_000).toFixed(1)} s`);
  }
  return strikes;
}

/** Strikes, and waits until the ledger is close behind again. Answers the longest lag seen. */
async function strikeOnce(system: System, fault: Fault, random: Random, load: Load, lag: LagWatch, violations: string[]): Promise<number> {
  const failedBefore = load.failedTwice.length;
  let longest = 0;
  let failedTwice: string[];
  const watch = setInterval(() => (longest = Math.max(longest, lag.lagMs)), 100);
  try {
    await fault.strike(system, random);
    violations.push(...(await untilCaughtUp(lag, MAX_LAG_MS)).map((violation) => `${fault.name}: ${violation}`));
    failedTwice = load.failedTwice.slice(failedBefore);
    violations.push(...(await untilSound(load)).map((violation) => `${fault.name}: ${violation}`));
  } finally {
    clearInterval(watch);
  }
  if (failedTwice.length > 0 && !fault.mayRefuse)
    violations.push(`${fault.name}: ${failedTwice.length} requests failed at one gateway and at the next (${failedTwice[0]}).`);
  return longest;
}

async function untilCaughtUp(lag: LagWatch, maxLagMs: number): Promise<string[]> {
  const begin = performance.now();
  // A first look may be older than the strike.
  do await new Promise((resolve) => setTimeout(resolve, 1_100));
  while (lag.lagMs > maxLagMs && performance.now() - begin < RECOVERY_MS);
  return lag.lagMs > maxLagMs ? [`The ledger is ${Math.round(lag.lagMs / 1_000)} s behind, ${RECOVERY_MS / 1_000} s later.`] : [];
}

/** The next fault strikes what works: waits until no request has failed for a while. */
async function untilSound(load: Load): Promise<string[]> {
  const deadline = performance.now() + RECOVERY_MS;
  while (load.soundForMs < SOUND_MS && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 100));
  return load.soundForMs < SOUND_MS ? [`Requests still fail, ${RECOVERY_MS / 1_000} s later.`] : [];
}

/** Mulberry32: small, and the same on every machine. */
export function fromSeed(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffle<T>(items: readonly T[], random: Random): T[] {
  const shuffled = [...items];
  for (let index = shuffled.length - 1; index > 0; index -= 1) {
    const other = Math.floor(random() * (index + 1));
    [shuffled[index], shuffled[other]] = [shuffled[other] as T, shuffled[index] as T];
  }
  return shuffled;
}

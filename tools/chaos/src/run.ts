import { join } from 'node:path';
import { CHECKPOINT_TOPIC } from '@kms/contracts';
import { StartupError } from '@kms/platform';
import { check, type Verdict } from './checker.ts';
import { Load, readClientLines } from './client.ts';
import { readJournal, readLedger, readMessages, readWhole } from './evidence.ts';
import { BrokenPromise, pause, type Fault, type Random, type Strike } from './fault.ts';
import { FAULTS } from './faults.ts';
import { LagWatch } from './lag.ts';
import { verifyLogs } from './verify-logs.ts';
import { System, type SystemSettings } from './system.ts';

export interface ChaosSettings extends Omit<SystemSettings, 'equipment'> {
  seed: number;
  perSecond: number;
  /**
   * How often each fault strikes. `duration`: in random order, once each and then on until so many milliseconds are over. `counts`: as often
   * as the fault's own count says, or `each` times, one fault after the other.
   */
  plan: { kind: 'duration'; durationMs: number } | { kind: 'counts'; each: number | null };
  /** Only the faults that have one of these names, or where none has it, the name in theirs; all without. */
  only?: readonly string[];
  /** Called once the system is at rest, before what is left of the run is compared: a test spoils something here. */
  beforeComparing?: (system: System) => Promise<void>;
  /** Aborted: no further fault strikes, and what was done so far is checked. */
  signal?: AbortSignal;
  say: (line: string) => void;
}

/** What the strikes of one fault came to. */
export interface Struck {
  count: number;
  /** How far the ledger was behind at most, in milliseconds. */
  longestLagMs: number;
  /** The longest time from the end of a strike until all was well again, in milliseconds. */
  longestRecoveryMs: number;
}

export interface ChaosResult extends Verdict {
  strikes: Map<string, Struck>;
  /** How many reveals each sentence of a 503 answered, and the longest time to one in milliseconds. */
  refusals: ReadonlyMap<string, number>;
  slowestRefusalMs: number;
}

/** The ledger is this close behind the journals when nothing is wrong, and again this soon after a fault, in milliseconds. */
const MAX_LAG_MS = 5_000;
const RECOVERY_MS = 60_000;
/** So long without a failed request, in milliseconds, and the system counts as sound. */
const SOUND_MS = 1_500;
/** How long the load runs before the first strike, in milliseconds. */
const QUIET_MS = 3_000;

/** Runs a system under load while faults strike it, then lets it come to rest and checks that nothing is lost. */
export async function runChaos(settings: ChaosSettings): Promise<ChaosResult> {
  const faults = chosen(FAULTS, settings.only);
  if (faults.length === 0) throw new StartupError('There is no such fault.');
  const system = await System.start({ ...settings, equipment: faults.flatMap(({ needs }) => needs ?? []) });
  try {
    const suiting = faults.filter((fault) => {
      const missing = fault.lacks(system);
      if (missing !== null) settings.say(`Not struck: ${fault.name}; it needs ${missing}.`);
      return missing === null;
    });
    if (suiting.length === 0) throw new StartupError('No such fault suits these brokers and instances.');
    return await new Torment(system, settings, suiting).run();
  } finally {
    await system.stop();
  }
}

/** One run over a system that is up. */
class Torment {
  readonly #violations: string[] = [];
  readonly #strikes = new Map<string, Struck>();
  readonly #lag: LagWatch;
  readonly #file: string;
  #load!: Load;
  #isOver = false;

  constructor(
    readonly system: System,
    readonly settings: ChaosSettings,
    readonly faults: readonly Fault[],
  ) {
    this.#lag = new LagWatch(system);
    this.#file = join(settings.directory, 'client.jsonl');
  }

  async run(): Promise<ChaosResult> {
    const { system, settings } = this;
    const gateways = () => system.gateways;
    this.#load = await Load.open({ gateways, apiKey: system.apiKey, file: this.#file, perSecond: settings.perSecond });
    await this.#load.prepare();
    this.#load.start();
    this.#lag.start();
    try {
      await this.#strikeAll().finally(() => this.#load.stop());
      settings.say('Quiet: waiting until the ledger has everything.');
      await this.#untilWell('At the end', { maxLagMs: 0, soundMs: 0 });
    } finally {
      await this.#lag.stop();
    }
    const { counts, violations } = await this.#compare();
    const { refusals, slowestRefusalMs } = this.#load;
    return { strikes: this.#strikes, refusals, slowestRefusalMs, counts, violations: [...this.#violations, ...violations] };
  }

  async #compare(): Promise<Verdict> {
    await this.settings.beforeComparing?.(this.system);
    const { gateway, vault, audit } = this.system.databases;
    const { brokers, logKey, witness } = this.system;
    const sent = () => readWhole(brokers, CHECKPOINT_TOPIC);
    const refusedLogs = await verifyLogs(audit.ownerUrl, { logKey, witness, sent });
    const journals = [await readJournal(gateway.ownerUrl), await readJournal(vault.ownerUrl)];
    return check({
      client: readClientLines(this.#file),
      journal: journals.flatMap(({ journal }) => journal),
      brokenChains: journals.flatMap(({ brokenChains }) => brokenChains),
      topic: await readMessages(brokers),
      ...(await readLedger(audit.ownerUrl)),
      refusedLogs,
    });
  }

  async #strikeAll(): Promise<void> {
    const { seed, plan, say, signal } = this.settings;
    const random = fromSeed(seed);
    const refused = () => this.#load.refused();
    await this.#quietly();
    for (const fault of order(this.faults, plan, random)) {
      if (signal?.aborted === true || this.#isOver) break;
      const before = this.#strikes.get(fault.name) ?? { count: 0, longestLagMs: 0, longestRecoveryMs: 0 };
      const strike = { random, isFull: plan.kind === 'counts', refused };
      const { lagMs, recoveryMs } = await this.#strikeOnce(fault, strike);
      const longestLagMs = Math.max(before.longestLagMs, lagMs);
      this.#strikes.set(fault.name, {
        count: before.count + 1,
        longestLagMs,
        longestRecoveryMs: Math.max(before.longestRecoveryMs, recoveryMs),
      });
      say(`${fault.name} (${before.count + 1}): lag up to ${seconds(lagMs)} s, well again ${seconds(recoveryMs)} s later`);
    }
  }

  /** Under load and without a fault, the ledger follows closely. */
  async #quietly(): Promise<void> {
    await this.#untilWell('Before the first fault', { maxLagMs: MAX_LAG_MS, soundMs: SOUND_MS });
    const longestMs = await this.#longestLagDuring(() => pause(QUIET_MS));
    if (longestMs > MAX_LAG_MS) this.#violations.push(`The ledger is ${seconds(longestMs)} s behind though nothing was struck.`);
  }

  /** Strikes, and waits until requests are answered and the ledger is close behind again. */
  async #strikeOnce(fault: Fault, strike: Strike): Promise<{ lagMs: number; recoveryMs: number }> {
    const { failedTwice, refusals } = this.#load;
    const failedBefore = failedTwice.length;
    const refusedBefore = new Map(refusals);
    let recoveryMs = 0;
    const lagMs = await this.#longestLagDuring(async () => {
      await this.#attempt(fault, strike);
      recoveryMs = await this.#untilWell(fault.name, { maxLagMs: MAX_LAG_MS, soundMs: SOUND_MS });
    });
    const seen = {
      failedTwice: failedTwice.slice(failedBefore),
      refusals: [...refusals].filter(([text, count]) => count !== refusedBefore.get(text)),
    };
    this.#violations.push(...judgeStrike(fault, seen));
    return { lagMs, recoveryMs };
  }

  async #attempt(fault: Fault, strike: Strike): Promise<void> {
    try {
      await fault.strike(this.system, strike);
    } catch (error) {
      // What is left of the system is not known: nothing more is struck, and what was done so far is checked.
      if (!(error instanceof BrokenPromise)) this.#isOver = true;
      this.#violations.push(`${fault.name}: ${(error as Error).message}`);
    }
  }

  async #longestLagDuring(work: () => Promise<unknown>): Promise<number> {
    let longest = 0;
    const watch = setInterval(() => (longest = Math.max(longest, this.#lag.lagMs)), 100);
    await work().finally(() => clearInterval(watch));
    return longest;
  }

  /**
   * Waits until the ledger was looked at and is close behind, and no request has failed for a while: the next fault strikes what works.
   * Answers how long that took, less the while.
   */
  async #untilWell(when: string, { maxLagMs, soundMs }: { maxLagMs: number; soundMs: number }): Promise<number> {
    const begin = performance.now();
    const isBehind = () => this.#lag.lookedAt < begin || this.#lag.lagMs > maxLagMs;
    const fails = () => this.#load.soundForMs < soundMs;
    while ((isBehind() || fails()) && performance.now() - begin < RECOVERY_MS) await pause(50);
    if (isBehind()) this.#violations.push(`${when}: the ledger is ${seconds(this.#lag.lagMs)} s behind, ${RECOVERY_MS / 1_000} s later.`);
    if (fails()) this.#violations.push(`${when}: requests still fail, ${RECOVERY_MS / 1_000} s later.`);
    return Math.max(0, performance.now() - begin - soundMs);
  }
}

/**
 * What must not happen under a fault: requests that fail at one gateway and at the next, where the fault excuses none; reveals that are
 * refused with another sentence than the fault's. `refusals`: the sentences of 503s since the strike, and how often each was seen.
 */
export function judgeStrike(
  { name, mayRefuse, refusal }: Pick<Fault, 'name' | 'mayRefuse' | 'refusal'>,
  { failedTwice, refusals }: { failedTwice: readonly string[]; refusals: readonly (readonly [sentence: string, count: number])[] },
): string[] {
  const wrong = refusals.filter(([sentence]) => refusal !== undefined && sentence !== refusal);
  return [
    ...(failedTwice.length > 0 && !mayRefuse
      ? [`${name}: ${failedTwice.length} requests failed at one gateway and at the next (${failedTwice[0]}).`]
      : []),
    ...wrong.map(([sentence]) => `${name}: a reveal was refused with "${sentence}" and not with "${refusal}".`),
  ];
}

const seconds = (milliseconds: number) => (milliseconds / 1_000).toFixed(1);

/** The faults that have one of the names, or where none has it, the name in theirs; all of them without names. */
export function chosen(faults: readonly Fault[], only?: readonly string[]): readonly Fault[] {
  if (only === undefined) return faults;
  const isOne = new Set(faults.map(({ name }) => name));
  return faults.filter(({ name }) => only.some((part) => (isOne.has(part) ? name === part : name.includes(part))));
}

/** The faults in the order in which they strike. */
export function* order(
  faults: readonly Fault[],
  plan: ChaosSettings['plan'],
  random: Random,
  now: () => number = () => performance.now(),
): Generator<Fault> {
  if (plan.kind === 'counts') {
    for (const fault of faults) {
      const count = plan.each ?? fault.count;
      for (let strike = 0; strike < count; strike += 1) yield fault;
    }
    return;
  }
  const deadline = now() + plan.durationMs;
  for (let round = 0; round === 0 || now() < deadline; round += 1)
    for (const fault of shuffle(faults, random)) if (round === 0 || now() < deadline) yield fault;
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

import type { App } from '@kms/launcher';
import type { Instance, System } from './system.ts';

/** A number from 0 up to 1, from a seed. */
export type Random = () => number;

/** One strike among those of a run. */
export interface Strike {
  random: Random;
  /** Whether everything lasts as long as the fault says, and not only as long as a short run has. */
  isFull: boolean;
  /** Resolves once a reveal is refused with 503. */
  refused: () => Promise<void>;
}

/**
 * What a system has for some faults only: PostgreSQL's data on a disk that can be made full; a proxy between the vaults and their database;
 * one between everybody and Apache Kafka; a witness that cosigns every checkpoint before it is published.
 */
export type Equipment = 'small disk' | 'database proxy' | 'broker proxy' | 'witness';

export interface Fault {
  name: string;
  /** How often it strikes in a run by the counts. */
  count: number;
  /** What the system lacks for it, in words that follow "it needs", or null. */
  lacks(system: System): string | null;
  /** Strikes, and mends what it broke. Throws a {@link BrokenPromise} where the suite did not do what it has to. */
  strike(system: System, strike: Strike): Promise<void>;
  /** Whether a request that fails may also fail when it is asked again at another gateway. */
  mayRefuse: boolean;
  /** What a reveal that is refused with 503 must say; anything, where this is not given. */
  refusal?: string;
  /** What the system is set up with for it. */
  needs?: Equipment;
}

/** The suite did, or left undone, what it must not under a fault. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise';
}

/** Longest wait for something that a fault brings about, in milliseconds. */
const PATIENCE_MS = 60_000;

export const nothing = () => null;
export const several = ({ settings }: System) => (settings.instances > 1 ? null : 'more than one instance of each service');
export const apache = ({ kafka }: System) => (kafka === undefined ? 'Apache Kafka' : null);

export const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
export const pick = <T>(items: readonly T[], random: Random) => items[Math.floor(random() * items.length)] as T;
export const one = (system: System, service: App, random: Random): Instance => pick(system.of(service), random);

/** A short time at a random length, so that strikes do not keep step with anything. */
export const moment = (random: Random, longest = 300) => pause(random() * longest);

export async function within<T>(what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>(
    (_, reject) => (timer = setTimeout(() => reject(new BrokenPromise(`Waited too long for ${what}.`)), PATIENCE_MS)),
  );
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Tries again until it works. */
export async function insist(work: () => Promise<unknown>): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; ; await pause(500)) {
    try {
      await work();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}

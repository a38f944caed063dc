import type { System } from './system.ts';
import { query } from './evidence.ts';

/** How often the ledger is compared with the journals, in milliseconds. */
const EVERY_MS = 500;

/** Watches how far the ledger is behind the journals. */
export class LagWatch {
  readonly #system: System;
  #history: { at: number; journaled: number }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();
  #lag = 0;
  #lookedAt = performance.now();

  constructor(system: System) {
    this.#system = system;
  }

  start(): void {
    this.#timer = setInterval(() => {
      // A database that is down cannot be asked: the age of the last answer counts.
      this.#round = this.#round.then(() => this.#look()).catch(() => undefined);
    }, EVERY_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#round;
  }

  /** How long ago the newest event was journaled up to which the ledger has all, in milliseconds. */
  get lagMs(): number {
    const age = performance.now() - this.#lookedAt;
    return age < 2 * EVERY_MS ? this.#lag : this.#lag + age;
  }

  async #look(): Promise<void> {
    const { databases } = this.#system;
    const total = 'SELECT coalesce(sum(last_sequence - first_sequence + 1), 0)::float8 AS total FROM journal_blocks';
    const at = performance.now();
    const [gateway, vault] = await Promise.all(
      [databases.gateway, databases.vault].map(({ ownerUrl }) => query<{ total: number }>(ownerUrl, total)),
    );
    const ledger = await query<{ total: number }>(
      databases.audit.ownerUrl,
      'SELECT coalesce(sum(size), 0)::float8 AS total FROM (SELECT max(size) AS size FROM ledger_heads GROUP BY organization_id) AS heads',
    );
    const journaled = (gateway?.[0]?.total ?? 0) + (vault?.[0]?.total ?? 0);
    const held = ledger[0]?.total ?? 0;
    this.#history.push({ at, journaled });
    while ((this.#history[1]?.journaled ?? Infinity) <= held) this.#history.shift();
    const first = this.#history[0];
    this.#lookedAt = performance.now();
    this.#lag = first === undefined || held >= journaled ? 0 : this.#lookedAt - first.at;
  }
}

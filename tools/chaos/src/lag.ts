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
  #began = -Infinity;

  constructor(system: System) {
    this.#system = system;
  }

  start(): void {
    let isLooking = false;
    this.#timer = setInterval(() => {
      // One at a time: on a machine that has no time for them they would queue up, and the last be answered minutes after the end.
      if (isLooking) return;
      isLooking = true;
      // A database that is down cannot be asked: the age of the last answer counts.
      this.#round = this.#look()
        .catch(() => undefined)
        .finally(() => (isLooking = false));
    }, EVERY_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#round;
  }

  /** When the last look that was answered began, on the clock of `performance.now()`. */
  get lookedAt(): number {
    return this.#began;
  }

  /** How long ago the newest event was journaled up to which the ledger has all, in milliseconds. */
  get lagMs(): number {
    const age = performance.now() - this.#lookedAt;
    return age < 2 * EVERY_MS ? this.#lag : this.#lag + age;
  }

  async #look(): Promise<void> {
    const { databases } = this.#system;
    const total = `SELECT coalesce(sum(last), 0)::float8 AS total FROM journal_writers CROSS JOIN LATERAL (
      SELECT last_sequence AS last FROM journal_blocks WHERE writer = id ORDER BY first_sequence DESC LIMIT 1) AS newest`;
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
    this.#began = at;
    this.#lag = first === undefined || held >= journaled ? 0 : this.#lookedAt - first.at;
  }
}

import { TroubleLog, type Logger } from '@kms/platform';
import type pg from 'pg';
import { Rounds } from './rounds.ts';

/** How often it is looked whether a record waits for its checkpoint for too long, in milliseconds. */
const EVERY_MS = 2_000;
/** A record is to be under a checkpoint after so many seconds. */
const MOST_SECONDS = 5;

// A loose scan over the organizations: of each the first batch that its newest checkpoint does not cover. Both times are the database's: what
// the records say of their own time, late ones that were sent again above all, is no matter here.
const OLDEST_UNSIGNED = `
  WITH RECURSIVE organizations AS (
    SELECT min(organization_id) AS id FROM ledger_heads
    UNION ALL
    SELECT (SELECT min(organization_id) FROM ledger_heads WHERE organization_id > organizations.id) FROM organizations WHERE id IS NOT NULL)
  SELECT greatest(0, extract(epoch FROM clock_timestamp() - min(first.appended_at)))::float8 AS age FROM organizations
  CROSS JOIN LATERAL (
    SELECT appended_at FROM ledger_heads WHERE organization_id = id AND size > coalesce((
      SELECT size FROM ledger_checkpoints WHERE organization_id = id ORDER BY size DESC LIMIT 1), 0) ORDER BY size LIMIT 1) AS first`;

/** For how many seconds the oldest record that no checkpoint covers has been in the ledger; 0 where all are covered. */
export async function readUnsignedAge(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ age: number | null }>(OLDEST_UNSIGNED);
  return rows[0]?.age ?? 0;
}

/** Says once when a record waits for its checkpoint for too long, and once when none does any more. */
export class WatchUnsigned {
  readonly #rounds: Rounds;
  #isLate = false;

  constructor(readonly dependencies: { pool: pg.Pool; logger: Pick<Logger, 'error' | 'warn' | 'info'> }) {
    const { logger } = dependencies;
    const trouble = new TroubleLog({
      logger,
      level: 'warn',
      trouble: 'It cannot be looked how long records wait for checkpoints; tried again.',
      over: 'It is looked again how long records wait for checkpoints.',
    });
    this.#rounds = new Rounds(EVERY_MS, () => this.look(), trouble);
  }

  start(): void {
    this.#rounds.start();
  }

  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  async look(): Promise<void> {
    const { pool, logger } = this.dependencies;
    const isLate = (await readUnsignedAge(pool)) > MOST_SECONDS;
    if (isLate && !this.#isLate)
      logger.error(`A record has been in the ledger for more than ${MOST_SECONDS} seconds without a checkpoint.`);
    if (!isLate && this.#isLate) logger.info('All records come under checkpoints in time again.');
    this.#isLate = isLate;
  }
}

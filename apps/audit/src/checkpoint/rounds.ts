import type { TroubleLog } from '@kms/platform';
import type pg from 'pg';

/** Does something again and again, one time after another, until it is stopped. */
export class Rounds {
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();
  #stopped = false;
  /** How many have ended, well or badly. */
  ended = 0;

  constructor(
    /** The pause before each, in milliseconds. */
    readonly everyMs: number,
    readonly work: () => Promise<void>,
    readonly trouble: TroubleLog,
  ) {}

  start(): void {
    this.#timer = setTimeout(() => {
      this.#round = this.#attempt().finally(() => {
        if (!this.#stopped) this.start();
      });
    }, this.everyMs);
  }

  /** Waits for the one under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#round;
  }

  async #attempt(): Promise<void> {
    try {
      await this.work();
      this.trouble.worked();
    } catch (error) {
      this.trouble.failed(error);
    }
    this.ended += 1;
  }
}

/**
 * Does `work` where no other process does that of the same lock, and else nothing. The connection that it gets holds the lock: once that is
 * lost another process may begin, but what was asked of the database over it has come to its end by then.
 */
export async function whileAlone(pool: pg.Pool, lock: number, work: (client: pg.ClientBase) => Promise<void>): Promise<void> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    const { rows } = await client.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1, 0) AS taken', [lock]);
    if (rows[0]?.taken !== true) return;
    await work(client).finally(() => client.query('SELECT pg_advisory_unlock($1, 0)', [lock]));
  } catch (error) {
    broken = error as Error;
    throw error;
  } finally {
    client.release(broken);
  }
}

import { withClient } from '@kms/postgres';
import type pg from 'pg';

/**
 * A database as it is at one moment, read only. It sees what was committed before the first question; an error of the server passes on.
 */
export class Snapshot {
  readonly #client: pg.ClientBase;
  #cursors = 0;

  private constructor(client: pg.ClientBase) {
    this.#client = client;
  }

  /**
   * Runs `work` on a snapshot that is taken now. No part of the `whole` table, if one is named, is taken away from it meanwhile. Throws
   * `StartupError` where the server cannot be reached.
   */
  static async with<T>(url: string, work: (snapshot: Snapshot) => Promise<T>, whole?: string): Promise<T> {
    return withClient(url, async (client) => {
      // A connection that breaks is told by the question under way.
      client.on('error', () => undefined);
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      if (whole !== undefined) await client.query(`LOCK TABLE ${whole} IN ACCESS SHARE MODE`);
      await client.query('SELECT 1');
      return work(new Snapshot(client));
    });
  }

  /** All rows, where they are few. */
  async all<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.#client.query<Row>(text, [...values])).rows;
  }

  /** The rows one after another, `step` of them in memory. */
  async *rows<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[], step: number): AsyncGenerator<Row> {
    this.#cursors += 1;
    const name = `cursor_${this.#cursors}`;
    await this.#client.query(`DECLARE ${name} NO SCROLL CURSOR FOR ${text}`, [...values]);
    for (;;) {
      const { rows } = await this.#client.query<Row>(`FETCH ${step} FROM ${name}`);
      yield* rows;
      if (rows.length < step) break;
    }
    await this.#client.query(`CLOSE ${name}`);
  }
}

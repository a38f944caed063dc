import type { ClosedWriter, OrphanedWriter, RelayStore, StoredBlock } from '@kms/journal';
import pg from 'pg';
import { WRITER_LOCK } from './journal-store.ts';

/** Most writers that are looked at in one search for orphans. */
const ADOPTION_LIMIT = 64;
/** Most closed writers that are looked at together. */
const CHECK_LIMIT = 64;

/** What the relay reads of a journal, on one connection of its own, which also holds the locks of the writers that it adopted. */
export class PostgresRelayStore implements RelayStore {
  readonly #url: string;
  #connecting: Promise<pg.Client> | null = null;
  /** Writers whose lock the present connection holds. */
  readonly #adopted = new Set<string>();

  constructor({ url }: { url: string }) {
    this.#url = url;
  }

  async readBlocks(writer: string, sequence: number, maxBytes: number): Promise<readonly StoredBlock[]> {
    const { rows } = await this.#query<{ first: string; last: string; events: Buffer }>({
      name: 'read-blocks',
      // The running size picks the blocks; the one that crosses the limit is the first left out, and one is always answered.
      text: `SELECT first_sequence AS first, last_sequence AS last, events FROM (
               SELECT *, sum(length(events)) OVER (ORDER BY first_sequence) - length(events) AS before FROM (
                 SELECT first_sequence, last_sequence, events FROM journal_blocks
                 WHERE writer = $1 AND first_sequence > (
                   SELECT coalesce(max(first_sequence), 0) FROM journal_blocks WHERE writer = $1 AND first_sequence <= $2
                     AND last_sequence <= $2)
                 ORDER BY first_sequence LIMIT 500) AS next) AS sized
             WHERE before = 0 OR before < $3 ORDER BY first_sequence`,
      values: [writer, sequence, maxBytes],
    });
    return rows.map(({ first, last, events }) => ({ writer, firstSequence: Number(first), lastSequence: Number(last), events }));
  }

  async acknowledge(writer: string, sequence: number): Promise<void> {
    await this.#query({
      name: 'acknowledge',
      text: 'UPDATE journal_writers SET acknowledged = $2 WHERE id = $1 AND acknowledged < $2',
      values: [writer, sequence],
    });
  }

  async adoptOrphans(): Promise<readonly OrphanedWriter[]> {
    const { rows } = await this.#query<{ id: string; number: number }>({
      text: `SELECT id, number FROM journal_writers WHERE closed_at IS NULL AND id <> ALL ($1::text[]) ORDER BY number LIMIT ${ADOPTION_LIMIT}`,
      values: [[...this.#adopted]],
    });
    const orphans: OrphanedWriter[] = [];
    for (const { id, number } of rows) {
      const orphan = await this.#adopt(id, number);
      if (orphan !== null) orphans.push(orphan);
    }
    return orphans;
  }

  async #adopt(id: string, number: number): Promise<OrphanedWriter | null> {
    if (!(await this.#lock(number))) return null;
    // Read only now: before the lock was free, the writer could still add to its blocks.
    const { rows } = await this.#query<{ acknowledged: string; last: string }>({
      text: `SELECT acknowledged, coalesce((SELECT max(last_sequence) FROM journal_blocks WHERE writer = $1), 0) AS last
             FROM journal_writers WHERE id = $1 AND closed_at IS NULL`,
      values: [id],
    });
    const [row] = rows;
    if (row === undefined) {
      await this.#query({ text: 'SELECT pg_advisory_unlock($1, $2)', values: [WRITER_LOCK, number] });
      return null;
    }
    this.#adopted.add(id);
    return { writer: id, acknowledged: Number(row.acknowledged), last: Number(row.last) };
  }

  async closeWriter(writer: string): Promise<void> {
    await this.#query({
      text: `UPDATE journal_writers SET closed_at = now() WHERE id = $1 RETURNING pg_advisory_unlock(${WRITER_LOCK}, number)`,
      values: [writer],
    });
    this.#adopted.delete(writer);
  }

  async readClosed(below: number | null): Promise<readonly ClosedWriter[]> {
    const { rows } = await this.#query<{ writer: string; place: number; last: string }>({
      name: 'read-closed',
      text: `SELECT id AS writer, number AS place, coalesce((
               SELECT last_sequence FROM journal_blocks WHERE writer = id ORDER BY first_sequence DESC LIMIT 1), 0) AS last
             FROM journal_writers WHERE closed_at IS NOT NULL AND ($1::int IS NULL OR number < $1)
             ORDER BY number DESC LIMIT ${CHECK_LIMIT}`,
      values: [below],
    });
    return rows.map(({ writer, place, last }) => ({ writer, place, last: Number(last) }));
  }

  async reopen(writer: string): Promise<boolean> {
    // A lock that this connection has already would be taken twice, and be given back once.
    if (this.#adopted.has(writer)) return false;
    const { rows } = await this.#query<{ number: number }>({ text: 'SELECT number FROM journal_writers WHERE id = $1', values: [writer] });
    const [row] = rows;
    if (row === undefined || !(await this.#lock(row.number))) return false;
    this.#adopted.add(writer);
    return true;
  }

  async #lock(number: number): Promise<boolean> {
    const { rows } = await this.#query<{ taken: boolean }>({
      text: 'SELECT pg_try_advisory_lock($1, $2) AS taken',
      values: [WRITER_LOCK, number],
    });
    return rows[0]?.taken === true;
  }

  async close(): Promise<void> {
    const client = await this.#connecting?.catch(() => null);
    await client?.end();
  }

  async #query<Row extends pg.QueryResultRow>(query: pg.QueryConfig): Promise<pg.QueryResult<Row>> {
    this.#connecting ??= this.#connect();
    const connecting = this.#connecting;
    try {
      return await (await connecting).query<Row>(query);
    } catch (error) {
      if (this.#connecting === connecting && (error as { severity?: string }).severity !== 'ERROR') await this.#forget(connecting);
      throw error;
    }
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client({
      connectionString: this.#url,
      connectionTimeoutMillis: 2_000,
      statement_timeout: 5_000,
      query_timeout: 6_000,
      keepAlive: true,
    });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  /** The locks went with the connection: the writers are adopted anew, by this process or another. */
  async #forget(connecting: Promise<pg.Client>): Promise<void> {
    this.#connecting = null;
    this.#adopted.clear();
    const client = await connecting.catch(() => null);
    await client?.end().catch(() => undefined);
  }
}

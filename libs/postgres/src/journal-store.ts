import { SessionLostError, type Block, type Fence, type JournalStore, type Resolution, type WriterSession } from '@kms/journal';
import { failpoint } from '@kms/platform';
import pg from 'pg';
import { isRefusal } from './errors.ts';
import { commit } from './transaction.ts';

/** The first key of every writer's advisory lock; the second is the writer's number. */
export const WRITER_LOCK = 0x6b6d73;

/** Where fences are looked up: a fence holds while the row with its key has its revision. */
export interface FenceTable {
  table: string;
  key: string;
  revision: string;
}

export interface PostgresJournalSettings {
  url: string;
  /** Makes writer ids. */
  nextId: () => string;
  fenceTable?: FenceTable;
  /** Longest time that a statement or a commit may take, in milliseconds, before the connection is given up. */
  statementTimeoutMs?: number;
}

const RESOLVE_DEADLINE_MS = 1_000;
const RESOLVE_PAUSE_MS = 20;

const INSERT_BLOCK = 'INSERT INTO journal_blocks (writer, first_sequence, last_sequence, events, hash)';
const blockValues = ({ writer, firstSequence, lastSequence, events, hash }: Block) => [writer, firstSequence, lastSequence, events, hash];

/** A service's journal in its PostgreSQL. */
export class PostgresJournalStore implements JournalStore<pg.ClientBase> {
  constructor(readonly settings: PostgresJournalSettings) {}

  async open(): Promise<WriterSession<pg.ClientBase>> {
    const client = await connect(this.settings);
    try {
      const writer = this.settings.nextId();
      // The writer's row and its lock appear at once: nobody can see the one without the other and take the writer for an orphan.
      await client.query('BEGIN');
      const { rows } = await client.query<{ number: number }>('INSERT INTO journal_writers (id) VALUES ($1) RETURNING number', [writer]);
      await client.query('SELECT pg_advisory_lock($1, $2)', [WRITER_LOCK, rows[0]?.number]);
      await commit(client);
      return new PostgresWriterSession(client, writer, this.settings);
    } catch (error) {
      await discard(client);
      throw error;
    }
  }

  /**
   * The writer's lock was held by the very connection that was lost. When it can be taken, the server has ended that session, so
   * the block is there now or never.
   */
  async resolve(block: Block): Promise<Resolution> {
    const deadline = performance.now() + RESOLVE_DEADLINE_MS;
    do {
      const resolution = await this.#tryToResolve(block);
      if (resolution !== 'unknown') return resolution;
      await new Promise((resolve) => setTimeout(resolve, RESOLVE_PAUSE_MS));
    } while (performance.now() < deadline);
    return 'unknown';
  }

  async #tryToResolve(block: Block): Promise<Resolution> {
    const client = await connect(this.settings).catch(() => null);
    if (client === null) return 'unknown';
    try {
      return await lookUpBlock(client, block);
    } catch {
      // The server went away again: not known yet, and the caller tries once more until its deadline.
      return 'unknown';
    } finally {
      await discard(client);
    }
  }
}

async function lookUpBlock(client: pg.Client, { writer, firstSequence, hash }: Block): Promise<Resolution> {
  const { rows } = await client.query<{ free: boolean }>(
    'SELECT pg_try_advisory_lock($1, number) AS free FROM journal_writers WHERE id = $2',
    [WRITER_LOCK, writer],
  );
  if (rows[0]?.free !== true) return 'unknown';
  const found = await client.query<{ hash: Buffer }>('SELECT hash FROM journal_blocks WHERE writer = $1 AND first_sequence = $2', [
    writer,
    firstSequence,
  ]);
  return found.rows[0]?.hash.equals(hash) ? 'committed' : 'absent';
}

class PostgresWriterSession implements WriterSession<pg.ClientBase> {
  readonly #client: pg.Client;
  readonly #insertFenced: string;
  readonly #selectStale: string;
  readonly #timeoutMs: number;
  #lost: Error | null = null;

  constructor(
    client: pg.Client,
    readonly writer: string,
    { fenceTable, statementTimeoutMs = 1_500 }: PostgresJournalSettings,
  ) {
    this.#client = client;
    this.#timeoutMs = statementTimeoutMs;
    client.on('error', (error) => (this.#lost ??= error));
    client.on('end', () => (this.#lost ??= new Error('The connection ended.')));
    const stale = (keys: string, revisions: string) => staleFencesQuery(fenceTable, keys, revisions);
    this.#insertFenced = `${INSERT_BLOCK} SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (${stale('$6', '$7')})`;
    this.#selectStale = stale('$1', '$2');
  }

  async insert(block: Block, fences: readonly Fence[]): Promise<boolean> {
    const query =
      fences.length === 0
        ? { name: 'insert-block', text: `${INSERT_BLOCK} VALUES ($1, $2, $3, $4, $5)`, values: blockValues(block) }
        : { name: 'insert-fenced-block', text: this.#insertFenced, values: [...blockValues(block), ...fenceColumns(fences)] };
    const { rowCount } = await this.#guard(this.#client.query(query), block);
    failpoint('journal.committed');
    return rowCount === 1;
  }

  async staleFences(fences: readonly Fence[]): Promise<readonly Fence[]> {
    const query = this.#client.query<Fence>({ name: 'stale-fences', text: this.#selectStale, values: fenceColumns(fences) });
    return (await this.#guard(query, null)).rows;
  }

  async transact<T>(work: (client: pg.ClientBase) => Promise<{ block: Block | null; value: T }>): Promise<T> {
    await this.#guard(this.#client.query('BEGIN'), null);
    let made: { block: Block | null; value: T };
    try {
      made = await work(this.#client);
      if (made.block !== null)
        await this.#client.query({ text: `${INSERT_BLOCK} VALUES ($1, $2, $3, $4, $5)`, values: blockValues(made.block) });
    } catch (error) {
      await this.#guard(this.#client.query('ROLLBACK'), null);
      throw error;
    }
    failpoint('journal.inserted');
    await this.#guard(commit(this.#client), made.block);
    failpoint('journal.committed');
    return made.value;
  }

  async close(): Promise<void> {
    if (this.#lost === null) await this.#client.end();
  }

  /**
   * Waits for a statement. One that takes too long ends the connection: its outcome is then looked up, and not waited for. A refusal
   * by the server is thrown on; anything else means that the session is lost, with `inDoubt` under way.
   */
  async #guard<T>(statement: Promise<T>, inDoubt: Block | null): Promise<T> {
    const timer = setTimeout(() => void discard(this.#client), this.#timeoutMs);
    try {
      return await statement;
    } catch (error) {
      if (isRefusal(error) && this.#lost === null) throw error;
      await discard(this.#client);
      throw new SessionLostError(inDoubt, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}

function staleFencesQuery(fenceTable: FenceTable | undefined, keys: string, revisions: string): string {
  const fences = `unnest(${keys}::text[], ${revisions}::bigint[]) AS fence (key, revision)`;
  if (fenceTable === undefined) return `SELECT fence.key, fence.revision::float8 AS revision FROM ${fences}`;
  const { table, key, revision } = fenceTable;
  return `SELECT fence.key, fence.revision::float8 AS revision FROM ${fences}
    WHERE NOT EXISTS (SELECT FROM ${table} AS held WHERE held.${key} = fence.key AND held.${revision} = fence.revision)`;
}

const fenceColumns = (fences: readonly Fence[]) => [fences.map(({ key }) => key), fences.map(({ revision }) => revision)];

async function connect({ url, statementTimeoutMs = 1_500 }: PostgresJournalSettings): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: statementTimeoutMs,
    statement_timeout: statementTimeoutMs,
    lock_timeout: statementTimeoutMs,
    idle_in_transaction_session_timeout: 10_000,
    keepAlive: true,
  });
  // Without a listener a connection that breaks while idle would end the process; whoever uses it next sees the error.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Ends a connection at once, whatever is under way on it: pg offers that only through its socket. */
async function discard(client: pg.Client): Promise<void> {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  await client.end().catch(() => undefined);
}

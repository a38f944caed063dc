import { StartupError } from '@kms/platform';
import pg from 'pg';
import { assertDurableServer, withClient } from './server-checks.ts';

/** Bounds on what a query may take, so that a lock or a lost client never holds a service up for long. */
const SESSION_SETTINGS = { statement_timeout: 5_000, lock_timeout: 2_000, idle_in_transaction_session_timeout: 10_000 };

/**
 * Refuses what a service must not run on: a server that is not durable, a role that owns tables, and a schema that lacks migrations of
 * this version. Throws StartupError.
 */
export async function assertServiceSchema(url: string, migrations: readonly unknown[]): Promise<void> {
  await withClient(url, async (client) => {
    await assertDurableServer(client);
    const { rows } = await client.query<{ found: string | null }>(`SELECT to_regclass('migrations')::text AS found`);
    const applied = rows[0]?.found ? await client.query<{ count: string }>('SELECT count(*) FROM migrations') : null;
    if (Number(applied?.rows[0]?.count ?? 0) < migrations.length) {
      throw new StartupError('The database lacks migrations of this version: run them first.');
    }
  });
}

/** A pool of connections with bounded queries. `onIdleError` is told of connections that break while nobody uses them. */
export function createPool(url: string, onIdleError: (error: Error) => void, size = 5): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: size,
    connectionTimeoutMillis: 1_000,
    query_timeout: 1_500,
    keepAlive: true,
    ...SESSION_SETTINGS,
  });
  pool.on('error', onIdleError);
  // A connection that is held and breaks between two statements has nobody else who listens, which would end the process; the next statement fails.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

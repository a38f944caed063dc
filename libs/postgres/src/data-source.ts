import 'reflect-metadata';
import { StartupError } from '@kms/platform';
import { DataSource, type DataSourceOptions, type MixedList, type EntitySchema } from 'typeorm';
import pg from 'pg';
import { assertDurableServer, withClient } from './server-checks.ts';

// eslint-disable-next-line @typescript-eslint/no-unsafe-function-type -- TypeORM's own type of a class
type Classes = MixedList<Function>;

export interface DataSourceSettings {
  url: string;
  migrations: Classes;
  // eslint-disable-next-line @typescript-eslint/no-unsafe-function-type -- TypeORM's own type of a class
  entities?: MixedList<Function | string | EntitySchema>;
  /** Most connections of the pool. */
  poolSize?: number;
}

/** Bounds on what a query may take, so that a lock or a lost client never holds a service up for long. */
const SESSION_SETTINGS = { statement_timeout: 5_000, lock_timeout: 2_000, idle_in_transaction_session_timeout: 10_000 };

/** A TypeORM data source with bounded queries. It never changes a schema by itself: migrations do, run by the owner's role. */
export function createDataSource({ url, migrations, entities = [], poolSize = 5 }: DataSourceSettings): DataSource {
  const options: DataSourceOptions = {
    type: 'postgres',
    url,
    entities,
    migrations,
    synchronize: false,
    migrationsRun: false,
    migrationsTransactionMode: 'all',
    logging: false,
    poolSize,
    connectTimeoutMS: 2_000,
    extra: { ...SESSION_SETTINGS, query_timeout: 6_000, keepAlive: true },
  };
  return new DataSource(options);
}

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
  return pool;
}

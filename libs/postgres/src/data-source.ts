import 'reflect-metadata';
import { StartupError } from '@kms/platform';
import { DataSource, type DataSourceOptions, type MixedList, type EntitySchema } from 'typeorm';
import { assertDurableServer, describeConnectionFailure, withClient } from './server-checks.ts';

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
 * Opens a service's data source: refuses a server that is not durable, a role that owns tables, and a schema that lacks migrations.
 * Throws StartupError.
 */
export async function openDataSource(settings: DataSourceSettings): Promise<DataSource> {
  await withClient(settings.url, assertDurableServer);
  const dataSource = createDataSource(settings);
  try {
    await dataSource.initialize();
  } catch (error) {
    throw describeConnectionFailure(settings.url, error);
  }
  if (await hasPendingMigrations(dataSource)) {
    await dataSource.destroy();
    throw new StartupError('The database lacks migrations of this version: run them first.');
  }
  return dataSource;
}

/** TypeORM's own check would create its table, which a service's role may not. */
async function hasPendingMigrations(dataSource: DataSource): Promise<boolean> {
  const [table] = await dataSource.query<{ found: string | null }[]>(`SELECT to_regclass('migrations')::text AS found`);
  if (!table?.found) return true;
  const [row] = await dataSource.query<{ count: string }[]>('SELECT count(*) FROM migrations');
  return Number(row?.count) < dataSource.migrations.length;
}

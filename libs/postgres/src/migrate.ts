import 'reflect-metadata';
import { DatabaseUrl, loadConfiguration, StartupError } from '@kms/platform';
import { DataSource, type MixedList } from 'typeorm';
import { z } from 'zod';
import { describeConnectionFailure } from './server-checks.ts';

/** Longest wait for a lock, in milliseconds: a migration gives up rather than stop a service behind it. */
const LOCK_TIMEOUT_MS = 5_000;

export interface MigrateSettings {
  // eslint-disable-next-line @typescript-eslint/no-unsafe-function-type -- TypeORM's own type of a class
  migrations: MixedList<Function>;
  /** The role that owns the tables. */
  ownerUrl: string;
  /** The role that the service runs as: it must exist, be another one, and is granted what `grants` says. */
  serviceUrl: string;
  /** The GRANT statements for a (quoted) role. They are repeated at each run. */
  grants: (role: string) => readonly string[];
}

/** Brings a schema up to date as its owner, and grants the service's role what it needs. Throws StartupError. */
export async function migrate({ ownerUrl, serviceUrl, migrations, grants }: MigrateSettings): Promise<void> {
  const role = decodeURIComponent(new URL(serviceUrl).username);
  if (role === decodeURIComponent(new URL(ownerUrl).username)) {
    throw new StartupError(`The role ${role} would own the tables that it works on: the owner's role must be another one.`);
  }
  const dataSource = new DataSource({
    type: 'postgres',
    url: ownerUrl,
    migrations,
    synchronize: false,
    migrationsTransactionMode: 'all',
    logging: false,
    poolSize: 1,
    connectTimeoutMS: 2_000,
    extra: { lock_timeout: LOCK_TIMEOUT_MS },
  });
  try {
    await dataSource.initialize();
  } catch (error) {
    throw describeConnectionFailure(ownerUrl, error);
  }
  try {
    await dataSource.runMigrations();
    for (const statement of [`GRANT SELECT ON migrations TO ${quote(role)}`, ...grants(quote(role))]) await dataSource.query(statement);
  } finally {
    await dataSource.destroy();
  }
}

const quote = (identifier: string) => `"${identifier.replaceAll('"', '""')}"`;

const MigrateConfiguration = z.object({ OWNER_DATABASE_URL: DatabaseUrl, DATABASE_URL: DatabaseUrl });

/** {@link migrate} as a process of its own, with both URLs from the environment: exit code 0, or one sentence and exit code 1. */
export async function runMigrations(service: string, settings: Pick<MigrateSettings, 'migrations' | 'grants'>): Promise<void> {
  try {
    const { OWNER_DATABASE_URL: ownerUrl, DATABASE_URL: serviceUrl } = loadConfiguration(MigrateConfiguration, process.env);
    await migrate({ ownerUrl, serviceUrl, ...settings });
  } catch (error) {
    process.stderr.write(`${service}: ${error instanceof StartupError ? error.message : `the migrations failed: ${String(error)}`}\n`);
    process.exitCode = 1;
  }
}

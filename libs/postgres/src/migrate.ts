import { DatabaseUrl, loadConfiguration, StartupError } from '@kms/platform';
import { z } from 'zod';
import { createDataSource, type DataSourceSettings } from './data-source.ts';
import { describeConnectionFailure } from './server-checks.ts';

export interface MigrateSettings extends Pick<DataSourceSettings, 'migrations'> {
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
  const dataSource = createDataSource({ url: ownerUrl, migrations, poolSize: 1 });
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

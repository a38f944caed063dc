import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '@kms/embedded';
import pg from 'pg';

export interface TestDatabase {
  /** The role that owns the database, as in production. */
  ownerUrl: string;
  /** The role that a service runs as. */
  serviceUrl: string;
  superuserUrl: string;
}

export interface TestPostgres {
  readonly superuserUrl: string;
  /** Makes an empty database with an owner's and a service's role. */
  createDatabase(): Promise<TestDatabase>;
  stop(): Promise<void>;
}

/** A real PostgreSQL of a test's own, on a free port, in a folder that goes with it. */
export async function startTestPostgres(): Promise<TestPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'kms-test-'));
  await chmod(folder, 0o755);
  const postgres = await startPostgres({ directory: join(folder, 'postgres'), password: randomBytes(8).toString('hex') });
  return {
    superuserUrl: postgres.superuserUrl,
    createDatabase: () => createDatabase(postgres.superuserUrl),
    async stop() {
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function createDatabase(superuserUrl: string): Promise<TestDatabase> {
  const name = `test_${randomBytes(4).toString('hex')}`;
  const client = new pg.Client({ connectionString: superuserUrl });
  await client.connect();
  await client.query(`CREATE ROLE ${name}_owner LOGIN PASSWORD 'test'`);
  await client.query(`CREATE ROLE ${name} LOGIN PASSWORD 'test'`);
  await client.query(`CREATE DATABASE ${name} OWNER ${name}_owner`);
  await client.end();
  const url = (user?: string) => {
    const target = new URL(superuserUrl);
    target.pathname = `/${name}`;
    if (user !== undefined) [target.username, target.password] = [user, 'test'];
    return target.href;
  };
  return { ownerUrl: url(`${name}_owner`), serviceUrl: url(name), superuserUrl: url() };
}

import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startTestPostgres, waitFor, type TestPostgres } from '@kms/testing';
import pg from 'pg';
import { Suite } from './suite.ts';

let postgres: TestPostgres;
let suite: Suite;

/** The launcher's variables for three databases, each with its owner's role and a role that owns nothing. */
async function databaseVariables(): Promise<Record<string, string>> {
  const variables: Record<string, string> = {};
  for (const service of ['GATEWAY', 'VAULT', 'AUDIT']) {
    const { serviceUrl, ownerUrl } = await postgres.createDatabase();
    variables[`DATABASE_URL_${service}`] = serviceUrl;
    variables[`OWNER_DATABASE_URL_${service}`] = ownerUrl;
  }
  return variables;
}

async function organizations(): Promise<number | null> {
  const client = new pg.Client({ connectionString: suite.variables['OWNER_DATABASE_URL_GATEWAY'] });
  await client.connect();
  const { rowCount } = await client.query('SELECT FROM organizations');
  await client.end();
  return rowCount;
}

beforeAll(async () => {
  postgres = await startTestPostgres();
  suite = await Suite.make(await databaseVariables());
  await suite.start();
}, 60_000);

afterAll(async () => {
  await suite.remove();
  await postgres.stop();
}, 30_000);

describe('the launcher with databases of one’s own', () => {
  it('refuses a home that is not theirs, although nothing is stored yet', async () => {
    await suite.stop();
    renameSync(suite.home, join(suite.folder, 'kept'));
    await expect(suite.start()).rejects.toThrow(/^gateway: The database belongs to another installation/m);
    expect(await organizations()).toBe(1);
    rmSync(suite.home, { recursive: true });
    renameSync(join(suite.folder, 'kept'), suite.home);
    await suite.start();
  }, 60_000);

  it('stores a secret, reveals it, holds the record of it, and starts no PostgreSQL', async () => {
    expect((await suite.create('own', 'content')).status).toBe(201);
    expect((await suite.reveal('own')).body).toEqual({ content: 'content' });
    await waitFor('the records', async () => (await suite.count('handler=own&outcome=success')) === 2, 40_000);
    expect(existsSync(join(suite.home, 'postgres'))).toBe(false);
  }, 60_000);

  it('has the same secrets and the same records after a restart', async () => {
    const { admin } = suite;
    await suite.stop();
    await suite.start();
    expect(suite.admin).toEqual(admin);
    expect((await suite.reveal('own')).body).toEqual({ content: 'content' });
    await waitFor('the record of the second reveal', async () => (await suite.count('handler=own&outcome=success')) === 3, 40_000);
  }, 90_000);

  it('makes no new root key for what is stored', async () => {
    await suite.stop();
    rmSync(suite.home, { recursive: true });
    await expect(suite.start()).rejects.toThrow(/^KMS_ROOT_KEY is not the root key|^vault: KMS_ROOT_KEY is not the root key/m);
    expect(await organizations()).toBe(1);
  }, 60_000);
});

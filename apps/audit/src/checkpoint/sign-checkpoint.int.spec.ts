import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ED25519_NOTE, openCheckpoint, writeSignerKey } from '@kms/merkle';
import { KeptFiles } from '@kms/platform';
import { createPool, migrate, withClient } from '@kms/postgres';
import { startTestPostgres, type TestDatabase, type TestPostgres } from '@kms/testing';
import type pg from 'pg';
import { AUDIT_MIGRATIONS, auditGrants } from '../migrations/index.ts';
import { readCheckpoint } from '../proofs/prove.ts';
import { append, ORGANIZATION, parseLogKeys, signerKey } from './log.fixture.ts';
import { PublishCheckpoints } from './publish-checkpoints.ts';
import { NO_WITNESSES } from './witnesses.ts';

let postgres: TestPostgres;
let database: TestDatabase;
let pool: pg.Pool;
let folder: string;
let now: Date;
let said: string[];

const keys = parseLogKeys(signerKey(1));

/** One round of a signer, as after a start, and the size of the newest checkpoint. */
async function publish(logKeys = keys): Promise<number | null> {
  const logger = { fatal: (_fields: object, message: string) => said.push(message) } as never;
  await new PublishCheckpoints({
    pool,
    keys: logKeys,
    kept: new KeptFiles(folder),
    witnesses: NO_WITNESSES,
    logger,
    now: () => now,
  }).publishDue();
  const note = await readCheckpoint(pool, ORGANIZATION);
  return note && openCheckpoint(note, logKeys.policy(ORGANIZATION)).checkpoint.size;
}

const asSuperuser = (...statements: string[]) =>
  withClient(database.superuserUrl, async (client) => {
    await client.query("SET session_replication_role = 'replica'");
    for (const table of ['ledger_records', 'ledger_heads', 'ledger_checkpoints']) {
      await client.query(`ALTER TABLE ${table} DISABLE TRIGGER ALL`);
    }
    for (const statement of statements) await client.query(statement);
  });

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

beforeEach(async () => {
  database = await postgres.createDatabase();
  await migrate({ ...database, migrations: AUDIT_MIGRATIONS, grants: auditGrants });
  pool = createPool(database.serviceUrl, () => undefined);
  folder = mkdtempSync(join(tmpdir(), 'kms-checkpoints-'));
  now = new Date('2026-01-01T00:00:00Z');
  said = [];
});

afterEach(async () => {
  await pool.end();
  rmSync(folder, { recursive: true });
});

describe('checkpoints', () => {
  it('are signed when there is news, and each hour when there is none', async () => {
    expect(await publish()).toBeNull();
    await append(pool, 3);
    expect(await publish()).toBe(3);
    await publish();
    const count = async () => (await pool.query('SELECT FROM ledger_checkpoints')).rowCount;
    expect(await count()).toBe(1);
    now = new Date('2026-01-01T01:00:01Z');
    await publish();
    expect(await count()).toBe(2);
    await append(pool, 300);
    expect(await publish()).toBe(300);
  });

  it('are signed by both keys while one takes the other’s place', async () => {
    await append(pool, 1);
    await publish(parseLogKeys(`${signerKey(1)}\n${signerKey(2)}\n`));
    const note = (await readCheckpoint(pool, ORGANIZATION)) as Buffer;
    for (const one of [signerKey(1), signerKey(2)]) {
      expect(openCheckpoint(note, parseLogKeys(one).policy(ORGANIZATION)).checkpoint.size).toBe(1);
    }
    expect(() => openCheckpoint(note, parseLogKeys(signerKey(3)).policy(ORGANIZATION))).toThrow(/None of the log’s keys/);
  });

  it('are refused, once and aloud, over a database that was restored to an earlier state', async () => {
    await append(pool, 5);
    await publish();
    await asSuperuser('DELETE FROM ledger_records', 'DELETE FROM ledger_heads', 'DELETE FROM ledger_checkpoints');
    await append(pool, 2);
    expect(await publish()).toBeNull();
    expect(said).toEqual([expect.stringContaining(`example.org/audit/${ORGANIZATION} is not what was signed: a tree of 5 records`)]);
  });

  it('are refused over a tree that is not the one that was signed', async () => {
    await append(pool, 4);
    await publish();
    await asSuperuser("UPDATE ledger_heads SET edge = repeat('x', 32)::bytea");
    await append(pool, 7);
    expect(await publish()).toBe(4);
    expect(said).toHaveLength(1);
  });

  it('are refused, once and aloud, where what was signed last cannot be believed', async () => {
    await append(pool, 2);
    await publish();
    writeFileSync(join(folder, ORGANIZATION, '1'), 'damaged');
    await append(pool, 3);
    expect([await publish(), said.length]).toEqual([2, 1]);
  });

  it('go on after an end between the file and the table', async () => {
    await append(pool, 2);
    await publish();
    await append(pool, 3);
    await publish();
    await asSuperuser('DELETE FROM ledger_checkpoints WHERE size = 3');
    expect(await publish()).toBe(3);
    expect(said).toEqual([]);
  });
});

describe('log keys', () => {
  it.each([
    ['nothing', ''],
    ['a public key', keys.verifierKeys[0] as string],
    ['three keys', [1, 2, 3].map(signerKey).join('\n')],
    ['keys of two names', `${signerKey(1)}\n${writeSignerKey({ name: 'other/audit', type: ED25519_NOTE.type, seed: Buffer.alloc(32) })}`],
  ])('are not read from %s', (_what, text) => {
    expect(() => parseLogKeys(text)).toThrow(/must/);
  });
});

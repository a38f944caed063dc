import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createIdGenerator, type Caller } from '@kms/contracts';
import { LocalRootKey } from '@kms/envelope';
import { Journal } from '@kms/journal';
import { createPool, migrate, PostgresJournalStore, withClient } from '@kms/postgres';
import { startTestPostgres, waitFor, type TestDatabase, type TestPostgres } from '@kms/testing';
import type pg from 'pg';
import { KeyRing } from './keys/key-ring.ts';
import { VAULT_MIGRATIONS, vaultGrants } from './migrations/index.ts';
import { RecordCache } from './reveal/record-cache.ts';
import { revealSecret } from './reveal/reveal-secret.ts';
import { ChangeEntry } from './write/change-entry.ts';
import { findDifferences } from './write/rebuild-entries.ts';

const nextId = createIdGenerator({ now: Date.now, randomBytes });
const now = () => new Date();
const caller: Caller = {
  organizationId: nextId(),
  environment: 'production',
  apiKeyId: nextId(),
  apiKeyName: 'test',
  address: '192.0.2.1',
  userAgent: null,
  requestId: 'request',
};

let postgres: TestPostgres;
let database: TestDatabase;
let pool: pg.Pool;
let journal: Journal<pg.ClientBase>;
let changes: ChangeEntry;
let records: RecordCache;
let keyRing: KeyRing;

const asOwner = (text: string) => withClient(database.ownerUrl, (client) => client.query(text));
const reveal = (revision: number, version: number | null = null) =>
  revealSecret({ records, journal, nextId, now }, { caller, handler: 'secret', revision, version });
const create = (content = 'content', handler = 'secret') =>
  changes.create({
    caller,
    entry: {
      name: 'n',
      handler,
      content,
      encoding: 'utf8',
      whitelist: ['192.0.2.1'],
      properties: { b: '2', a: '1' },
      expiresAt: null,
    },
  });

/** How many rows of versions a transaction has read so far. */
async function versionsRead(client: pg.ClientBase): Promise<number> {
  const { rows } = await client.query<{ read: number }>(
    `SELECT (seq_tup_read + idx_tup_fetch)::int AS read FROM pg_stat_xact_user_tables WHERE relname = 'entry_versions'`,
  );
  return rows[0]?.read ?? NaN;
}

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

beforeEach(async () => {
  database = await postgres.createDatabase();
  await migrate({ ...database, migrations: VAULT_MIGRATIONS, grants: vaultGrants });
  pool = createPool(database.serviceUrl, () => undefined);
  const fenceTable = { table: 'entries', key: 'id', revision: 'revision' };
  journal = new Journal({ store: new PostgresJournalStore({ url: database.serviceUrl, nextId, fenceTable }) });
  keyRing = new KeyRing(new LocalRootKey(randomBytes(32)));
  changes = new ChangeEntry({ journal, keyRing, nextId, now });
  records = new RecordCache(pool, keyRing);
});

async function end(): Promise<void> {
  await journal.close();
  await pool.end();
}

describe('the vault', () => {
  it('reads a record once at a time, however many reveals wait for it, and begins anew for those who came during a reading', async () => {
    await create();
    let questions = 0;
    const counted = { query: (text: pg.QueryConfig) => (questions += 1) && pool.query(text) } as unknown as pg.Pool;
    const cache = new RecordCache(counted, new KeyRing(new LocalRootKey(randomBytes(32))));
    const key = { organizationId: caller.organizationId, environment: caller.environment, handler: 'gone', version: null };
    expect(await Promise.all(Array.from({ length: 50 }, () => cache.reload(key)))).toEqual(Array.from({ length: 50 }, () => null));
    expect(questions).toBe(2);
    await cache.reload(key);
    expect(questions).toBe(3);
  });

  it('reveals what was stored, at the revision asked for, and any version by its number', async () => {
    await create('one');
    expect(await reveal(1)).toEqual({
      status: 'revealed',
      content: 'one',
      encoding: 'utf8',
      version: 1,
      receipt: expect.stringMatching(/^[0-9a-f]{24}; writer=[0-9a-f]{24}; sequence=[1-9][0-9]*; hash=[0-9a-f]{64}$/),
    });
    await changes.addVersion({ caller, handler: 'secret', content: 'dHdv', encoding: 'base64' });
    expect(await reveal(2)).toEqual({
      status: 'revealed',
      content: 'dHdv',
      encoding: 'base64',
      version: 2,
      receipt: expect.stringMatching(/^[0-9a-f]{24}; writer=[0-9a-f]{24}; sequence=[1-9][0-9]*; hash=[0-9a-f]{64}$/),
    });
    expect(await reveal(2, 1)).toMatchObject({ content: 'one' });
    expect(await reveal(2, 9)).toEqual({ status: 'unknown-version' });
    await end();
  });

  it('asks the database once for what it does not know, and keeps as many bytes as it may', async () => {
    for (const handler of ['secret', 'other']) await create('x'.repeat(2_000), handler);
    let questions = 0;
    const counted = { query: (query: pg.QueryConfig) => (questions += 1) && pool.query(query) } as unknown as pg.Pool;
    const cache = new RecordCache(counted, records.keyRing, 10_000);
    const read = async (handler: string) => {
      const before = questions;
      const key = { organizationId: caller.organizationId, environment: caller.environment, handler, version: null };
      expect((await cache.get(key, 1))?.content?.prepared.open().toString()).toBe('x'.repeat(2_000));
      return questions - before;
    };
    expect(await read('secret')).toBe(1);
    expect(await read('secret')).toBe(0);
    expect(await read('other')).toBe(1);
    expect(await read('secret')).toBe(1);
    expect(await read('secret')).toBe(0);
    await end();
  });

  it('answers the new policy to who decided on another one', async () => {
    await create();
    expect(await reveal(1)).toMatchObject({ status: 'revealed' });
    await changes.update({ caller, handler: 'secret', expectedRevision: 1, changes: { whitelist: [] } });
    expect(await reveal(1)).toMatchObject({ status: 'policy-changed', policy: { revision: 2, whitelist: [] } });
    await changes.delete({ caller, handler: 'secret' });
    expect(await reveal(2)).toEqual({ status: 'policy-changed', policy: null });
    await end();
  });

  it('reveals nothing that it cannot record', async () => {
    await create();
    await asOwner('ALTER TABLE journal_blocks RENAME TO away');
    expect(await reveal(1)).toEqual({ status: 'audit-unavailable' });
    await end();
  });

  it('refuses a taken handler, a stale revision and what is not there, and changes nothing', async () => {
    await create();
    expect(await create()).toEqual({ status: 'refused', code: 'handler-taken' });
    expect(await changes.update({ caller, handler: 'secret', expectedRevision: 9, changes: { name: 'x' } })).toEqual({
      status: 'refused',
      code: 'stale-revision',
    });
    expect(await changes.delete({ caller, handler: 'other' })).toEqual({ status: 'refused', code: 'unknown-handler' });
    const { rows } = await pool.query('SELECT name, revision FROM entries');
    expect(rows).toEqual([{ name: 'n', revision: '1' }]);
    await end();
  });

  it('reads no more of an entry with 2,000 versions than of one with one', async () => {
    await create('one');
    await asOwner(`INSERT INTO entry_versions SELECT id, number, 'utf8', now() FROM entries, generate_series(2, 2000) AS number`);
    let read = 0;
    const counted: Pick<Journal<pg.ClientBase>, 'transact'> = {
      transact: (work) =>
        journal.transact(async (client) => {
          const recorded = await work(client);
          read = await versionsRead(client);
          return recorded;
        }),
    };
    const rotating = new ChangeEntry({ journal: counted, keyRing, nextId, now });
    expect(await rotating.addVersion({ caller, handler: 'secret', content: 'two', encoding: 'utf8' })).toMatchObject({
      value: { version: 2001 },
    });
    expect(read).toBe(1);
    await withClient(database.ownerUrl, async (client) => {
      await client.query('BEGIN');
      const cache = new RecordCache(client as unknown as pg.Pool, keyRing);
      const { organizationId, environment } = caller;
      await cache.reload({ organizationId, environment, handler: 'secret', version: null });
      read = await versionsRead(client);
    });
    expect(read).toBe(1);
    expect(await reveal(2)).toMatchObject({ content: 'two', version: 2001 });
    await end();
  });

  it('gives each version a number of its own, whichever vault adds it', async () => {
    await create('one');
    const other = new Journal<pg.ClientBase>({ store: new PostgresJournalStore({ url: database.serviceUrl, nextId }) });
    const vaults = [changes, new ChangeEntry({ journal: other, keyRing, nextId, now })];
    const added = await withClient(database.ownerUrl, async (holder) => {
      await holder.query('BEGIN');
      await holder.query('SELECT FROM entries FOR UPDATE');
      const adding = vaults.map((vault) => vault.addVersion({ caller, handler: 'secret', content: 'more', encoding: 'utf8' }));
      const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      const countWaiting = () => withClient(database.superuserUrl, async (client) => (await client.query(waiting)).rowCount);
      await waitFor('both to wait for the entry', async () => (await countWaiting()) === vaults.length);
      await holder.query('COMMIT');
      return Promise.all(adding);
    });
    const numbers = added.map((reply) => (reply.status === 'ok' ? reply.value.version : reply.code));
    expect(numbers.sort()).toEqual([2, 3]);
    expect(await findDifferences(pool)).toEqual([]);
    await other.close();
    await end();
  });

  it('retires an organization’s key that has reached its limit', async () => {
    await create();
    await asOwner(`UPDATE organization_keys SET wraps = ${2 ** 31}`);
    await changes.addVersion({ caller, handler: 'secret', content: 'two', encoding: 'utf8' });
    const { rows } = await pool.query('SELECT retired_at IS NOT NULL AS retired FROM organization_keys ORDER BY created_at');
    expect(rows).toEqual([{ retired: true }, { retired: false }]);
    expect(await reveal(2)).toMatchObject({ content: 'two' });
    expect(await reveal(2, 1)).toMatchObject({ content: 'content' });
    await end();
  });

  it('has a state that follows from its journal, and notices one that does not', async () => {
    await create();
    await changes.update({
      caller,
      handler: 'secret',
      expectedRevision: null,
      changes: { properties: { z: '1' }, expiresAt: '2030-01-01T00:00:00Z' },
    });
    await changes.addVersion({ caller, handler: 'secret', content: 'two', encoding: 'utf8' });
    await changes.delete({ caller, handler: 'secret' });
    expect(await findDifferences(pool)).toEqual([]);
    await asOwner(`UPDATE entries SET name = 'changed behind its back'`);
    expect(await findDifferences(pool)).toHaveLength(1);
    await end();
  });
});

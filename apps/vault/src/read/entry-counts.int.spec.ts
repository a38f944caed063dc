import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createIdGenerator, type Caller, type ConfigurationReply } from '@kms/contracts';
import { LocalRootKey } from '@kms/envelope';
import { Journal } from '@kms/journal';
import { createPool, migrate, PostgresJournalStore, withClient } from '@kms/postgres';
import { startTestPostgres, type TestDatabase, type TestPostgres } from '@kms/testing';
import fc from 'fast-check';
import type pg from 'pg';
import { KeyRing } from '../keys/key-ring.ts';
import { VAULT_MIGRATIONS, vaultGrants } from '../migrations/index.ts';
import { EntryCounts1764900000000 } from '../migrations/1764900000000-entry-counts.ts';
import { ChangeEntry } from '../write/change-entry.ts';
import { findDifferences } from '../write/rebuild-entries.ts';
import { ReadEntries } from './read-entries.ts';

const nextId = createIdGenerator({ now: Date.now, randomBytes });
const ORGANIZATIONS = [nextId(), nextId()] as const;
const HANDLERS = 6;

let postgres: TestPostgres;
let database: TestDatabase;
let pool: pg.Pool;

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());
beforeEach(async () => {
  database = await postgres.createDatabase();
});

const migrateTo = (migrations: typeof VAULT_MIGRATIONS, grants = vaultGrants) => migrate({ ...database, migrations, grants });
const asOwner = (text: string) => withClient(database.ownerUrl, (client) => client.query(text));
const callerOf = (organizationId: string, environment: Caller['environment']): Caller => ({
  organizationId,
  environment,
  apiKeyId: nextId(),
  apiKeyName: 'test',
  address: '192.0.2.1',
  userAgent: null,
  requestId: 'request',
});

/** One of several vaults on one database. */
function openVault(keyRing: KeyRing) {
  const journal = new Journal<pg.ClientBase>({ store: new PostgresJournalStore({ url: database.serviceUrl, nextId }) });
  const changes = new ChangeEntry({ journal, keyRing, nextId, now: () => new Date() });
  const create = (caller: Caller, handler: string) =>
    changes.create({
      caller,
      entry: { name: 'n', handler, content: 'x', encoding: 'utf8', whitelist: [], properties: {}, expiresAt: null },
    });
  return { changes, create, close: () => journal.close() };
}

/** The number that is kept of each organization and environment, and the number of its rows, as one moment has them. */
async function compare(): Promise<{ kept: number; rows: number }[]> {
  const { rows } = await pool.query<{ kept: number; rows: number }>(
    `SELECT coalesce(kept.entries, 0)::int AS kept, coalesce(counted.rows, 0)::int AS rows FROM entry_counts AS kept
     FULL JOIN (SELECT organization_id, environment, count(*) AS rows FROM entries WHERE deleted_at IS NULL GROUP BY 1, 2) AS counted
     USING (organization_id, environment)`,
  );
  return rows;
}

const change = fc.record({
  vault: fc.nat(1),
  organization: fc.nat(1),
  environment: fc.constantFrom('production' as const, 'staging' as const),
  handler: fc.nat(HANDLERS - 1),
  kind: fc.constantFrom('create' as const, 'create' as const, 'delete' as const, 'rename' as const),
});

describe('the number of entries', () => {
  it('is that of the rows at every moment, whatever two vaults do at once, refused changes too', async () => {
    await migrateTo(VAULT_MIGRATIONS);
    pool = createPool(database.serviceUrl, () => undefined);
    const keyRing = new KeyRing(new LocalRootKey(randomBytes(32)));
    const vaults = [openVault(keyRing), openVault(keyRing)];
    const outcomes = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 5, maxLength: 25 }), async (list) => {
        let isOver = false;
        const working = Promise.all(
          list.map(async ({ vault, organization, environment, handler: number, kind }) => {
            const { changes, create } = vaults[vault] as (typeof vaults)[number];
            const caller = callerOf(ORGANIZATIONS[organization] as string, environment);
            const handler = `handler-${number}`;
            let reply: ConfigurationReply;
            if (kind === 'create') reply = await create(caller, handler);
            else if (kind === 'delete') reply = await changes.delete({ caller, handler });
            else reply = await changes.update({ caller, handler, expectedRevision: null, changes: { name: 'other' } });
            const outcome = `${kind} ${reply.status}`;
            outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
          }),
        ).finally(() => (isOver = true));
        do for (const { kept, rows } of await compare()) expect(kept).toBe(rows);
        while (!isOver);
        await working;
      }),
      { numRuns: 12 },
    );
    for (const kind of ['create', 'delete'])
      for (const status of ['ok', 'refused']) expect([kind, status, outcomes.has(`${kind} ${status}`)]).toEqual([kind, status, true]);
    const entries = new ReadEntries(pool);
    for (const organizationId of ORGANIZATIONS) {
      const listed = await entries.list({ organizationId, environment: 'production', size: 100, page: 1 });
      expect(listed.status === 'ok' && listed.value.count - listed.value.elements.length).toBe(0);
    }
    expect(await findDifferences(pool)).toEqual([]);
    await asOwner('UPDATE entry_counts SET entries = entries + 1');
    expect(await findDifferences(pool)).toContainEqual(expect.stringMatching(/^the number of entries of [0-9a-f]{24}\/production$/));
    for (const vault of vaults) await vault.close();
    await pool.end();
  }, 60_000);

  it('is counted once of a database of the version before, whose vaults may go on beside it', async () => {
    const former = (role: string) => vaultGrants(role).map((grant) => grant.replace(', entry_counts', ''));
    await migrateTo(VAULT_MIGRATIONS.slice(0, VAULT_MIGRATIONS.indexOf(EntryCounts1764900000000)), former);
    pool = createPool(database.serviceUrl, () => undefined);
    const insert = (from: number, to: number) =>
      pool.query(
        `INSERT INTO entries SELECT lpad(n::text, 24, '0'), $1, CASE WHEN n % 2 = 0 THEN 'production' ELSE 'staging' END, 'handler-' || n, 'n', '[]', '{}',
           true, null, 1, 1, now(), now(), CASE WHEN n % 5 = 0 THEN now() END FROM generate_series($2::int, $3::int) AS n`,
        [ORGANIZATIONS[0], from, to],
      );
    const count = async (environment: Caller['environment'], organizationId: string = ORGANIZATIONS[0]) => {
      const listed = await new ReadEntries(pool).list({ organizationId, environment, size: 1, page: 1 });
      return listed.status === 'ok' ? listed.value.count : listed.code;
    };
    await insert(1, 50);
    await migrateTo(VAULT_MIGRATIONS);
    expect([await count('production'), await count('staging'), await count('staging', ORGANIZATIONS[1])]).toEqual([20, 20, 0]);
    await insert(51, 60);
    await pool.query(
      `UPDATE entries SET deleted_at = CASE WHEN deleted_at IS NULL THEN now() END WHERE handler IN ('handler-2', 'handler-5')`,
    );
    expect([await count('production'), await count('staging')]).toEqual([23, 25]);
    expect(await compare()).toEqual(
      expect.arrayContaining([
        { kept: 23, rows: 23 },
        { kept: 25, rows: 25 },
      ]),
    );
    await pool.end();
  }, 30_000);
});

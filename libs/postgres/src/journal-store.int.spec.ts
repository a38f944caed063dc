import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Journal, splitBlock } from '@kms/journal';
import { startTestPostgres, waitFor, type TestDatabase, type TestPostgres } from '@kms/testing';
import pg from 'pg';
import { JOURNAL_SCHEMA, journalGrants, PostgresJournalStore, PostgresRelayStore, withClient } from './index.ts';

let postgres: TestPostgres;
let database: TestDatabase;
let store: PostgresJournalStore;
let journal: Journal<pg.ClientBase>;
let ids = 0;

const event = (name: string) => () => name;
const asSuperuser = <T extends pg.QueryResultRow>(text: string) =>
  withClient(database.superuserUrl, async (client) => (await client.query<T>(text)).rows);

async function stored(): Promise<string[]> {
  const rows = await asSuperuser<{ first_sequence: string; last_sequence: string; events: Buffer }>(
    'SELECT b.* FROM journal_blocks b JOIN journal_writers w ON w.id = writer ORDER BY w.number, first_sequence',
  );
  return rows.flatMap(({ first_sequence, last_sequence, events }) =>
    splitBlock({ firstSequence: Number(first_sequence), lastSequence: Number(last_sequence), events }).map(String),
  );
}

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

beforeEach(async () => {
  database = await postgres.createDatabase();
  const role = new URL(database.serviceUrl).username;
  await withClient(database.ownerUrl, async (client) => {
    await client.query('CREATE TABLE entries (id text PRIMARY KEY, revision bigint NOT NULL)');
    await client.query(`INSERT INTO entries VALUES ('entry', 1)`);
    for (const statement of [...JOURNAL_SCHEMA, ...journalGrants(role), `GRANT SELECT, UPDATE ON entries TO ${role}`])
      await client.query(statement);
  });
  const fenceTable = { table: 'entries', key: 'id', revision: 'revision' };
  store = new PostgresJournalStore({ url: database.serviceUrl, nextId: () => `writer-${(ids += 1)}`, fenceTable });
  journal = new Journal({ store });
});

describe('the journal in PostgreSQL', () => {
  it('keeps what it confirmed', async () => {
    await Promise.all(['a', 'b', 'c'].map((name) => journal.append(event(name))));
    expect(await stored()).toEqual(['a', 'b', 'c']);
    await journal.close();
  });

  it('stores nothing that was decided on another revision', async () => {
    await expect(journal.append(event('stale'), { key: 'entry', revision: 2 })).rejects.toMatchObject({ code: 'fenced' });
    await journal.append(event('good'), { key: 'entry', revision: 1 });
    expect(await stored()).toEqual(['good']);
    await journal.close();
  });

  it('does not take a COMMIT that answers ROLLBACK for one', async () => {
    const work = journal.transact(async (client) => {
      await client.query('UPDATE entries SET revision = 9');
      await client.query('SELECT 1 / 0').catch(() => undefined);
      return { events: [], value: 'changed' };
    });
    await expect(work).rejects.toThrow(/COMMIT/);
    expect(await asSuperuser('SELECT revision FROM entries')).toEqual([{ revision: '1' }]);
    await journal.close();
  });

  it('goes on in a new writer when its connection is ended, and loses nothing that it confirmed', async () => {
    const first = await journal.append(event('a'));
    await asSuperuser(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${new URL(database.serviceUrl).username}'`);
    const second = await journal.append(event('b'));
    expect(second.writer).not.toBe(first.writer);
    expect(await stored()).toEqual(['a', 'b']);
    await journal.close();
  });

  it('tells a block that is there from one that can no longer appear', async () => {
    const { writer, hash } = await journal.append(event('a'));
    const block = { writer, firstSequence: 1, lastSequence: 1, events: Buffer.alloc(0), hash };
    expect(await store.resolve(block)).toBe('unknown');
    await journal.close();
    await waitFor('the lock to be free', async () => (await store.resolve(block)) === 'committed');
    expect(await store.resolve({ ...block, firstSequence: 2 })).toBe('absent');
  });

  it('lets nobody change a block, the owner included', async () => {
    await journal.append(event('a'));
    for (const url of [database.serviceUrl, database.ownerUrl]) {
      for (const change of ['UPDATE journal_blocks SET events = events', 'DELETE FROM journal_blocks', 'TRUNCATE journal_blocks']) {
        await expect(withClient(url, (client) => client.query(change))).rejects.toThrow(/append-only|permission denied/);
      }
    }
    await journal.close();
  });

  it('hands an orphaned writer to one relay only, with its end', async () => {
    const { writer } = await journal.append(event('a'));
    const [one, other] = [new PostgresRelayStore({ url: database.serviceUrl }), new PostgresRelayStore({ url: database.serviceUrl })];
    expect(await one.adoptOrphans()).toEqual([]);
    await journal.close();
    const adopted = await waitFor('the writer to be adopted', async () => (await one.adoptOrphans())[0]);
    expect(adopted).toEqual({ writer, acknowledged: 0, last: 1 });
    expect(await other.adoptOrphans()).toEqual([]);
    expect((await one.readBlocks(writer, 0, 1)).map(({ lastSequence }) => lastSequence)).toEqual([1]);
    await one.closeWriter(writer);
    expect(await other.adoptOrphans()).toEqual([]);
    await Promise.all([one.close(), other.close()]);
  });
});

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Journal, splitBlock, type Block } from '@kms/journal';
import { journalStoreContract, relayStoreContract, startTestPostgres, type TestDatabase, type TestPostgres } from '@kms/testing';
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

async function storedBlocks(): Promise<Block[]> {
  const rows = await asSuperuser<{ writer: string; first_sequence: string; last_sequence: string; events: Buffer; hash: Buffer }>(
    'SELECT b.* FROM journal_blocks b JOIN journal_writers w ON w.id = writer ORDER BY w.number, first_sequence',
  );
  return rows.map(({ writer, first_sequence, last_sequence, events, hash }) => ({
    writer,
    firstSequence: Number(first_sequence),
    lastSequence: Number(last_sequence),
    events,
    hash,
  }));
}

const stored = async () => (await storedBlocks()).flatMap((block) => splitBlock(block).map(String));

/** Ends every connection of the service's role, as the server's own crash would. */
const severAll = async () => {
  const role = new URL(database.serviceUrl).username;
  await asSuperuser(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${role}'`);
};

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

journalStoreContract('PostgreSQL', async () => ({
  store,
  stored: storedBlocks,
  revision: async () => Number((await asSuperuser<{ revision: string }>('SELECT revision FROM entries'))[0]?.revision),
  setRevision: async (client, revision) => void (await client.query('UPDATE entries SET revision = $1', [revision])),
  failQuietly: (client) => client.query('SELECT 1 / 0').then(undefined, () => undefined),
  severAll,
}));

relayStoreContract('PostgreSQL', async () => ({
  journal: store,
  open: () => new PostgresRelayStore({ url: database.serviceUrl }),
}));

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

  it('goes on in a new writer when its connection is ended, and loses nothing that it confirmed', async () => {
    const first = await journal.append(event('a'));
    await severAll();
    const second = await journal.append(event('b'));
    expect(second.writer).not.toBe(first.writer);
    expect(await stored()).toEqual(['a', 'b']);
    await journal.close();
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
});

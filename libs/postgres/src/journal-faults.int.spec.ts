import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { chainHash, GENESIS, Journal, splitBlock } from '@kms/journal';
import { PostgresProxy, startTestPostgres, type CaughtStatement, type Moment, type TestDatabase, type TestPostgres } from '@kms/testing';
import fc from 'fast-check';
import type pg from 'pg';
import { createPool, JOURNAL_SCHEMA, journalGrants, PostgresJournalStore } from './index.ts';

/** The statement that commits an append: it is the whole of its transaction. */
const INSERT = /^INSERT INTO journal_blocks/;
const COMMIT = /^COMMIT$/;
/** How long the journal waits for an answer, in milliseconds: far less than an append may wait in all. */
const STATEMENT_TIMEOUT_MS = 300;

let postgres: TestPostgres;
let database: TestDatabase;
let proxy: PostgresProxy;
let direct: pg.Pool;
let journal: Journal<pg.ClientBase>;
let writers = 0;

const event = (name: string) => () => name;
const cut = (statement: CaughtStatement) => statement.cut();

/** Cuts the connection, and lets nobody make another. */
function cutForGood(): void {
  proxy.setAway(true);
}

const change = (name: string) =>
  journal.transact(async (client) => {
    await client.query('UPDATE changes SET count = count + 1');
    return { events: [event(name)], value: name };
  });

async function count(): Promise<number> {
  return Number((await direct.query<{ count: string }>('SELECT count FROM changes')).rows[0]?.count);
}

/** The texts of all events, once it is checked that each writer's numbers have no gap and that its chain holds. */
async function stored(): Promise<string[]> {
  const { rows } = await direct.query<{ writer: string; first: string; last: string; events: Buffer; hash: Buffer }>(
    `SELECT writer, first_sequence AS first, last_sequence AS last, events, hash FROM journal_blocks ORDER BY writer, first_sequence`,
  );
  const heads = new Map<string, { sequence: number; hash: Buffer }>();
  const texts: string[] = [];
  for (const { writer, first, last, events, hash } of rows) {
    const head = heads.get(writer) ?? { sequence: 0, hash: GENESIS };
    const split = splitBlock({ firstSequence: Number(first), lastSequence: Number(last), events });
    expect([Number(first), split.reduce(chainHash, head.hash)]).toEqual([head.sequence + 1, hash]);
    heads.set(writer, { sequence: Number(last), hash });
    texts.push(...split.map(String));
  }
  return texts;
}

function makeJournal(): Journal<pg.ClientBase> {
  const nextId = () => `writer-${String((writers += 1)).padStart(5, '0')}`;
  const url = proxy.through(database.serviceUrl);
  const store = new PostgresJournalStore({ url, nextId, statementTimeoutMs: STATEMENT_TIMEOUT_MS });
  return new Journal({ store });
}

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

beforeEach(async () => {
  await direct?.end();
  await proxy?.stop();
  database = await postgres.createDatabase();
  const role = new URL(database.serviceUrl).username;
  direct = createPool(database.ownerUrl, () => undefined);
  for (const statement of [
    ...JOURNAL_SCHEMA,
    ...journalGrants(role),
    'CREATE TABLE changes (count integer NOT NULL)',
    'INSERT INTO changes VALUES (0)',
    `GRANT SELECT, UPDATE ON changes TO ${role}`,
  ])
    await direct.query(statement);
  proxy = await PostgresProxy.before(database.serviceUrl);
  journal = makeJournal();
  await journal.open();
});
afterAll(async () => {
  await direct.end();
  await proxy.stop();
});

describe('an append whose connection is cut', () => {
  it('after its commit is confirmed, and recorded once', async () => {
    void proxy.catchNext(INSERT, 'after').then(cut);
    const first = journal.writer;
    expect((await journal.append(event('a'))).writer).toBe(first);
    expect(await stored()).toEqual(['a']);
    await journal.close();
  });

  it('before it reached the server is recorded once, by the next writer', async () => {
    void proxy.catchNext(INSERT, 'before').then(cut);
    const first = journal.writer;
    expect((await journal.append(event('a'))).writer).not.toBe(first);
    expect(await stored()).toEqual(['a']);
    await journal.close();
  });

  it.each<[Moment, string[]]>([
    ['before', []],
    ['after', ['a']],
  ])('%s its commit, with the server out of reach from then on, is not confirmed', async (moment, texts) => {
    const caught = proxy.catchNext(INSERT, moment);
    const first = expect(journal.append(event('a'))).rejects.toMatchObject({ code: 'in-doubt' });
    await caught;
    const second = expect(journal.append(event('b'))).rejects.toMatchObject({ code: 'unavailable' });
    cutForGood();
    await Promise.all([first, second]);
    proxy.setAway(false);
    await journal.append(event('c'));
    expect(await stored()).toEqual([...texts, 'c']);
    await journal.close();
  });

  it('while the server still works on it is recorded once', async () => {
    const blocker = await direct.connect();
    await blocker.query('BEGIN');
    await blocker.query('LOCK TABLE journal_blocks IN SHARE MODE');
    const insert = proxy.catchNext(INSERT, 'during');
    const appended = journal.append(event('a'));
    (await insert).cut();
    // The journal has asked what became of it, and the server has not carried it out yet.
    (await proxy.catchNext(/pg_try_advisory_lock/, 'after')).release();
    await blocker.query('COMMIT');
    blocker.release();
    await appended;
    expect(await stored()).toEqual(['a']);
    await journal.close();
  });

  it('is confirmed where its answer only comes late', async () => {
    void proxy.catchNext(INSERT, 'after').then((statement) => statement.release());
    const first = journal.writer;
    await journal.append(event('a'));
    expect((await journal.append(event('b'))).writer).toBe(first);
    expect(await stored()).toEqual(['a', 'b']);
    await journal.close();
  });

  it.each<Moment>(['before', 'after'])('by the journal itself, when no answer comes in time (%s), is recorded once', async (moment) => {
    const caught = proxy.catchNext(INSERT, moment);
    await journal.append(event('a'));
    await caught;
    expect(await stored()).toEqual(['a']);
    await journal.close();
  });
});

describe('a transaction whose connection is cut', () => {
  it('after its commit is answered with its value, and has happened once', async () => {
    void proxy.catchNext(COMMIT, 'after').then(cut);
    expect(await change('a')).toBe('a');
    expect([await stored(), await count()]).toEqual([['a'], 1]);
    await journal.close();
  });

  it('before its commit reached the server is refused, and has not happened', async () => {
    void proxy.catchNext(COMMIT, 'before').then(cut);
    await expect(change('a')).rejects.toMatchObject({ code: 'unavailable' });
    expect(await change('b')).toBe('b');
    expect([await stored(), await count()]).toEqual([['b'], 1]);
    await journal.close();
  });

  it.each<[Moment, string[]]>([
    ['before', []],
    ['after', ['a']],
  ])('%s its commit, with the server out of reach from then on, is not confirmed', async (moment, texts) => {
    void proxy.catchNext(COMMIT, moment).then(cutForGood);
    await expect(change('a')).rejects.toMatchObject({ code: 'in-doubt' });
    proxy.setAway(false);
    expect([await stored(), await count()]).toEqual([texts, texts.length]);
    await journal.close();
  });
});

describe('a journal under many cuts', () => {
  it('records what it confirmed exactly once, and nothing that it refused', async () => {
    const round = fc.record({
      appends: fc.integer({ min: 1, max: 5 }),
      statement: fc.constantFrom(INSERT, COMMIT),
      moment: fc.constantFrom<Moment>('before', 'during', 'after'),
    });
    const appended: string[] = [];
    const changed: string[] = [];
    await fc.assert(
      fc.asyncProperty(round, async ({ appends, statement, moment }) => {
        const caught = proxy.catchNext(statement, moment).then(cut);
        const names = Array.from({ length: appends }, (_, index) => `${appended.length + index}`);
        const changing = change(`change before ${appended.length}`).then(
          (name) => void changed.push(name),
          (error: unknown) => expect(error).toMatchObject({ code: 'unavailable' }),
        );
        await Promise.all([changing, caught, ...names.map((name) => journal.append(event(name)))]);
        appended.push(...names);
      }),
      { numRuns: 100, seed: 20_260_201 },
    );
    expect((await stored()).sort()).toEqual([...appended, ...changed].sort());
    expect(await count()).toBe(changed.length);
    expect(changed.length).toBeGreaterThan(0);
    expect(changed.length).toBeLessThan(100);
    await journal.close();
  });
});

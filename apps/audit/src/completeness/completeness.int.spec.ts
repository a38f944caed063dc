import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { auditData, organizationOf, prepareEvent } from '@kms/contracts';
import { buildBlock, chainHash, GENESIS, Relay, splitBlock, type Block, type Message } from '@kms/journal';
import { createLogger } from '@kms/platform';
import { createPool, migrate, withClient } from '@kms/postgres';
import { MemoryJournal, MemoryJournalStore, MemoryRelayStore, startTestPostgres, waitFor, type TestPostgres } from '@kms/testing';
import type pg from 'pg';
import { AppendBatch } from '../ingest/append-batch.ts';
import { AUDIT_MIGRATIONS, auditGrants } from '../migrations/index.ts';
import { readWatermarks } from '../query/read-watermarks.ts';
import { CheckChains } from './check-chains.ts';
import { readCompleteness } from './read-completeness.ts';

const ORGANIZATIONS = ['1'.repeat(24), '2'.repeat(24)];
const WRITER = 'a'.repeat(24);
const START = Date.parse('2026-01-01T00:00:00Z');

let postgres: TestPostgres;
let pool: pg.Pool;
let said: string[];
let now: Date;
let chains: CheckChains;

/** The events of a writer, in turn of one organization and the other, one a second. */
function eventsOf(writer: string, count: number): Buffer[] {
  const places = Array.from({ length: count }, (_, index) => {
    const data = auditData({ organizationId: ORGANIZATIONS[index % 2] as string, action: 'reveal', outcome: 'success' });
    const id = index.toString(16).padStart(24, '0');
    const time = new Date(START + index * 1_000).toISOString();
    const place = prepareEvent({ id, source: '/vault', type: 'kms.secret.revealed.v1', time, data });
    return ({ sequence, hash }: { sequence: number; hash: Buffer }) => place({ writer, sequence, previousHash: hash.toString('hex') });
  });
  let hash: Buffer = GENESIS;
  return places.map((place, index) => {
    const bytes = Buffer.from(place({ sequence: index + 1, hash }));
    hash = chainHash(hash, bytes);
    return bytes;
  });
}

async function append(values: readonly Buffer[]): Promise<void> {
  const logger = createLogger('test');
  const messages = values.map((value, index) => ({ offset: BigInt(index), key: Buffer.from(organizationOf(value)), value }));
  const ledger = new AppendBatch({ pool, operatorOrganizationId: '0'.repeat(24), logger, now: () => now });
  await ledger.handle({ topic: 'topic', partition: 0, messages, nextOffset: BigInt(values.length) });
}

const completeness = async () => (await readCompleteness(pool, now)).writers;
const watermark = async (writer = WRITER) => (await readWatermarks(pool, { writers: [{ writer, from: 0 }] })).watermarks[0]?.sequence;
const beginAgain = () => {
  const say = (fields: object, message: string) => void said.push(`${message} ${JSON.stringify(fields)}`);
  const logger = { fatal: say, error: say, warn: say, info: say } as never;
  return new CheckChains({ pool, logger, now: () => now });
};

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(async () => {
  await pool.end();
  await postgres.stop();
});

let superuserUrl: string;
beforeEach(async () => {
  await pool?.end();
  const database = await postgres.createDatabase();
  ({ superuserUrl } = database);
  await migrate({ ...database, migrations: AUDIT_MIGRATIONS, grants: auditGrants });
  pool = createPool(database.serviceUrl, () => undefined);
  said = [];
  now = new Date(START + 30_000);
  chains = beginAgain();
});

describe('the ledger', () => {
  const whole = { writer: WRITER, source: '/vault', complete: true, gaps: [], chainBreaks: [], parked: [] };

  it('knows of a writer whose events it has, over all organizations, checked or not', async () => {
    await append(eventsOf(WRITER, 6));
    expect(await completeness()).toEqual([{ ...whole, highest: 6 }]);
    await chains.checkNew();
    expect([await completeness(), await watermark(), said, chains.chainBreaks]).toEqual([[{ ...whole, highest: 6 }], 6, [], 0]);
  });

  it('shows what is missing and since when, says it after a minute, once, and forgets it when it has come', async () => {
    const events = eventsOf(WRITER, 9);
    const of = (...numbers: number[]) => numbers.map((number) => events[number - 1] as Buffer);
    await append(of(1, 2, 4, 5, 8));
    const missing = {
      ...whole,
      complete: false,
      highest: 2,
      gaps: [
        { from: 3, to: 3, since: new Date(START + 3_000).toISOString() },
        { from: 6, to: 7, since: new Date(START + 7_000).toISOString() },
      ],
    };
    await chains.checkNew();
    expect([await completeness(), await watermark(), said, chains.writersWithOldGaps]).toEqual([[missing], 2, [], 0]);

    now = new Date(START + 3_000 + 60_000);
    await chains.checkNew();
    await chains.checkNew();
    expect([said.length, chains.writersWithOldGaps]).toEqual([1, 1]);
    expect(said[0]).toContain(`{"writer":"${WRITER}","from":3,"to":3,"since":"2026-01-01T00:00:03.000Z"}`);

    await append(of(3, 6, 7, 9));
    await chains.checkNew();
    expect([await completeness(), await watermark(), chains.writersWithOldGaps]).toEqual([[{ ...whole, highest: 9 }], 9, 0]);
    expect(said.length).toBe(1);
  });

  it('knows of a writer whose first event is missing', async () => {
    await append(eventsOf(WRITER, 2).slice(1));
    await chains.checkNew();
    expect(await completeness()).toMatchObject([{ complete: false, highest: 0, gaps: [{ from: 1, to: 1 }] }]);
  });

  it('names the writer and the number where a chain does not fit, once, over a start', async () => {
    const events = eventsOf(WRITER, 6);
    const forged = Buffer.from((events[3] as Buffer).toString().replace('"success"', '"denied"'));
    await append([...events.slice(0, 3), forged, ...events.slice(4)]);
    await chains.checkNew();
    expect(said).toEqual([
      `The chain of writer ${WRITER} is broken: event 5 does not follow from the one before. {"writer":"${WRITER}","sequence":5}`,
    ]);
    expect(await completeness()).toEqual([{ ...whole, complete: false, highest: 6, chainBreaks: [{ sequence: 5 }] }]);

    const next = beginAgain();
    await append(eventsOf(WRITER, 7).slice(6));
    await next.checkNew();
    expect([said.length, next.chainBreaks, await watermark()]).toEqual([1, 1, 7]);
  });

  it('checks a chain that does not begin with nothing before it', async () => {
    const [first] = eventsOf(WRITER, 1);
    await append([Buffer.from((first as Buffer).toString().replace('0'.repeat(64), '1'.repeat(64)))]);
    await chains.checkNew();
    expect(await completeness()).toMatchObject([{ complete: false, highest: 1, chainBreaks: [{ sequence: 1 }] }]);
  });

  it('checks long chains, in parts', async () => {
    await append(eventsOf(WRITER, 2_000));
    await chains.checkNew();
    expect([await completeness(), await watermark(), said]).toEqual([[{ ...whole, highest: 2_000 }], 2_000, []]);
  });

  it('does not take the record of a parked message for a writer that may miss something', async () => {
    await append(eventsOf(WRITER, 1));
    const ledger = new AppendBatch({
      pool,
      operatorOrganizationId: '0'.repeat(24),
      logger: { error: () => undefined } as never,
      now: () => now,
    });
    await ledger.handle({
      topic: 'topic',
      partition: 1,
      messages: [{ offset: 0n, key: null, value: Buffer.from('poison') }],
      nextOffset: 1n,
    });
    await chains.checkNew();
    expect(await completeness()).toEqual([{ ...whole, highest: 1 }]);
  });
});

describe('a ledger that was restored to an earlier state', () => {
  it('gets all again, from writers that are closed too, and from the middle of them', async () => {
    const journal = new MemoryJournal();
    const written: Block[] = [];
    for (const count of [40, 25]) {
      const session = await new MemoryJournalStore(journal).open();
      const writer = String(journal.writers.size).repeat(24);
      const places = eventsOf(writer, count).map((bytes) => () => bytes.toString());
      const { block } = buildBlock(session.writer, { sequence: 0, hash: GENESIS }, places);
      await session.insert(block, []);
      written.push({ ...block, writer });
      await session.close();
    }
    // The journal in memory names its writers itself; the ledger knows them by the ids in their events.
    const idOf = (name: string) => name.replace('writer-', '').repeat(24);
    const publisher = { publish: (messages: readonly Message[]) => append(messages.map(({ value }) => value)) };
    const watermarks = async (writers: readonly { writer: string; from: number }[]) => {
      const asked = writers.map(({ writer, from }) => ({ writer: idOf(writer), from }));
      const answers = (await readWatermarks(pool, { writers: asked })).watermarks;
      return answers.map(({ sequence }, index) => ({ writer: writers[index]?.writer as string, sequence }));
    };
    const timing = { gatherFor: 1, watermarkEvery: 1, resendAfter: 1_000, adoptEvery: 10, checkEvery: 10, retryAfter: 1 };
    const ledger = { watermarks, settleParked: async () => [] };
    const relay = new Relay({ store: new MemoryRelayStore(journal), publisher, ledger, keyOf: organizationOf, timing });
    const count = async () => (await pool.query('SELECT FROM ledger_records')).rowCount;
    relay.start();
    await waitFor('both writers to be closed', () => [...journal.writers.values()].every(({ isClosed }) => isClosed));
    await chains.checkNew();
    expect(await count()).toBe(65);

    // What a restored database has lost: the newest leaves of each organization, with their tree and what was noted of them.
    await withClient(superuserUrl, async (client) => {
      await client.query("SET session_replication_role = 'replica'");
      for (const table of ['ledger_records', 'ledger_heads', 'writer_chains'])
        await client.query(`ALTER TABLE ${table} DISABLE TRIGGER ALL`);
      await client.query('BEGIN');
      await client.query('DELETE FROM writer_chains');
      await client.query('DELETE FROM ledger_heads');
      await client.query('DELETE FROM ledger_records WHERE leaf_index >= 5');
      const { rows } = await client.query<{ id: string; edge: Buffer }>(
        "SELECT organization_id AS id, string_agg(leaf_hash, '' ORDER BY leaf_index) AS edge FROM ledger_records GROUP BY 1",
      );
      // A tree of 5 has the root of the first 4 and the fifth leaf at its edge; here any hashes do.
      for (const { id, edge } of rows) {
        await client.query('INSERT INTO ledger_heads (organization_id, size, edge) VALUES ($1, 5, $2)', [id, edge.subarray(0, 64)]);
      }
      await client.query('COMMIT');
    });
    await waitFor('everything to be there again', async () => (await count()) === 65);
    await waitFor('the writers to be closed again', () => [...journal.writers.values()].every(({ holder }) => holder === null));
    await relay.stop();
    for (const block of written) {
      const { rows } = await pool.query<{ bytes: Buffer }>('SELECT bytes FROM ledger_records WHERE writer = $1 ORDER BY sequence', [
        block.writer,
      ]);
      expect(Buffer.concat(rows.map(({ bytes }) => bytes)).equals(Buffer.concat(splitBlock(block)))).toBe(true);
    }
  }, 30_000);
});

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { auditData, prepareEvent, type AuditData } from '@kms/contracts';
import { CompactRange, MAX_ENTRY_BYTES, SHA256_TREE } from '@kms/merkle';
import { createLogger } from '@kms/platform';
import { createPool, migrate, withClient } from '@kms/postgres';
import { startTestPostgres, type TestDatabase, type TestPostgres } from '@kms/testing';
import type pg from 'pg';
import { AUDIT_MIGRATIONS, auditGrants } from '../migrations/index.ts';
import { queryLedger } from '../query/query-ledger.ts';
import { readWatermarks } from '../query/read-watermarks.ts';
import { AppendBatch } from './append-batch.ts';
import { readHead } from './extend-tree.ts';

const OPERATOR = '0'.repeat(24);
const ORGANIZATION = '1'.repeat(24);
const WRITER = 'a'.repeat(24);
const logger = createLogger('test');
logger.level = 'silent';

let postgres: TestPostgres;
let database: TestDatabase;
let pool: pg.Pool;
let ledger: AppendBatch;

function value(sequence: number, data: Partial<AuditData> = {}): Buffer {
  const place = prepareEvent({
    id: sequence.toString(16).padStart(24, '0'),
    source: '/vault',
    type: 'kms.secret.revealed.v1',
    time: new Date(1_764_000_000_000 + sequence).toISOString(),
    data: auditData({
      organizationId: ORGANIZATION,
      apiKeyId: 'b'.repeat(24),
      address: '192.0.2.7',
      userAgent: 'agent \u00e9\u00ff',
      handler: 'handler',
      action: 'reveal',
      outcome: 'success',
      ...data,
    }),
  });
  return Buffer.from(place({ writer: WRITER, sequence, previousHash: '0'.repeat(64) }));
}

const POISON = Buffer.from('not an event');

async function append(...values: (Buffer | null)[]): Promise<void> {
  const messages = values.map((bytes, index) => ({ offset: BigInt(index), key: Buffer.from(ORGANIZATION), value: bytes }));
  await ledger.handle({ topic: 'topic', partition: 0, messages, nextOffset: BigInt(values.length) });
}

async function sequences(): Promise<number[]> {
  const { rows } = await pool.query<{ sequence: string }>(
    'SELECT sequence FROM ledger_records WHERE organization_id = $1 ORDER BY leaf_index',
    [ORGANIZATION],
  );
  return rows.map(({ sequence }) => Number(sequence));
}

async function parked(): Promise<(string | null)[]> {
  const reply = await queryLedger(pool, { organizationId: OPERATOR, query: { size: 100, page: 1 } });
  return reply.status === 'ok' ? reply.value.elements.map(({ reason }) => reason).reverse() : [reply.code];
}

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

beforeEach(async () => {
  await pool?.end();
  database = await postgres.createDatabase();
  await migrate({ ...database, migrations: AUDIT_MIGRATIONS, grants: auditGrants });
  pool = createPool(database.serviceUrl, () => undefined);
  ledger = new AppendBatch({ pool, operatorOrganizationId: OPERATOR, logger, now: () => new Date() });
});
afterAll(() => pool.end());

describe('the ledger', () => {
  it.each([
    ['first', [POISON, value(1), value(2)]],
    ['in the middle', [value(1), POISON, value(2)]],
    ['last', [value(1), value(2), POISON]],
  ])('parks a poison message that comes %s, and appends the others', async (_place, values) => {
    await append(...values);
    expect(await sequences()).toEqual([1, 2]);
    expect(await parked()).toEqual(['unreadable']);
    const { rows } = await pool.query<{ value: Buffer }>('SELECT value FROM parked_messages');
    expect(rows.map((row) => row.value)).toEqual([POISON]);
  });

  it('holds each event once, however often it comes', async () => {
    await append(value(1), value(1), value(2));
    await append(value(2), value(1), value(3), POISON, POISON);
    await append(value(3));
    expect(await sequences()).toEqual([1, 2, 3]);
  });

  it('keeps the bytes that came, and hashes those, also where the same event could be written otherwise', async () => {
    const bytes = Buffer.from(value(1).toString().replace('{', '{ ').replace('}', ' }'));
    await append(bytes);
    const { rows } = await pool.query<{ bytes: Buffer; leaf_hash: Buffer }>('SELECT bytes, leaf_hash FROM ledger_records');
    const leaf = createHash('sha256').update(Buffer.of(0)).update(bytes).digest();
    expect(rows).toEqual([{ bytes, leaf_hash: leaf }]);
  });

  it('has what a record is looked up by as the event says it, whatever characters are in it', async () => {
    const handlers = [null, 'NULL', 'null', '{a,"b"}', 'back\\slash', ' ', '€,'];
    const outcomes = ['success', 'denied', 'error'] as const;
    const facts = handlers.map((handler, at) => ({
      handler,
      apiKeyId: at % 2 === 0 ? null : 'c'.repeat(24),
      address: at % 3 === 0 ? null : '2001:db8::7',
      outcome: outcomes[at % 3] ?? 'error',
    }));
    await append(...facts.map((data, at) => value(at + 1, data)));
    const { rows } = await pool.query(
      `SELECT handler, api_key_id AS "apiKeyId", host(address) AS address, outcome, writer, sequence::int, record_id AS id, time
       FROM ledger_records ORDER BY leaf_index`,
    );
    expect(rows).toEqual(
      facts.map((data, at) => {
        const id = (at + 1).toString(16).padStart(24, '0');
        return { ...data, writer: WRITER, sequence: at + 1, id, time: new Date(1_764_000_000_000 + at + 1) };
      }),
    );
  });

  it('extends one tree for each organization, whatever the batches', async () => {
    const events = Array.from({ length: 600 }, (_, index) => value(index + 1));
    for (const end of [1, 2, 300, 511, 512, 600]) await append(...events.slice(0, end));
    const expected = CompactRange.empty();
    const roots: Uint8Array[] = [];
    for (const event of events) expected.append(SHA256_TREE.leaf(event), ({ level }, hash) => level === 8 && roots.push(hash));
    const head = await readHead(pool, ORGANIZATION);
    expect([head.size, head.root()]).toEqual([600, expected.root()]);
    const { rows } = await pool.query<{ hash: Buffer }>('SELECT hash FROM ledger_nodes WHERE organization_id = $1 ORDER BY node_index', [
      ORGANIZATION,
    ]);
    expect(rows.map(({ hash }) => hash.toString('hex'))).toEqual(roots.map((hash) => Buffer.from(hash).toString('hex')));
  });

  it('parks a message once and counts it once, wherever on the topic it is and however often it is tried', async () => {
    await append(POISON);
    await append(value(1), POISON);
    expect([await parked(), ledger.parked.unreadable]).toEqual([['unreadable'], 1]);
  });

  it('parks what says something else under a number that is taken, or comes under another key', async () => {
    await append(value(1));
    await append(value(1, { outcome: 'denied' }), value(2, { organizationId: '2'.repeat(24) }), null);
    expect(await sequences()).toEqual([1]);
    expect((await parked()).sort()).toEqual(['conflict', 'unreadable', 'wrong-key']);
  });

  it('takes an event as long as an entry bundle can hold, and parks a longer one', async () => {
    const empty = value(1, { apiKeyName: '' }).length;
    const longest = value(1, { apiKeyName: 'x'.repeat(MAX_ENTRY_BYTES - empty) });
    expect(longest.length).toBe(MAX_ENTRY_BYTES);
    const longer = Buffer.from(longest.toString().replace('"x', '"xx'));
    await append(longest, longer);
    expect(await sequences()).toEqual([1]);
    expect(await parked()).toEqual(['too-long']);
  });

  it('appends nothing where the offset cannot be kept', async () => {
    await withClient(database.superuserUrl, (client) => client.query('ALTER TABLE consumed_offsets RENAME TO away'));
    await expect(append(value(1), POISON)).rejects.toThrow(/consumed_offsets/);
    expect(await sequences()).toEqual([]);
    expect([await parked(), ledger.parked.unreadable]).toEqual([[], 0]);
  });

  it('reads on from the newest offset of each partition, also where it went back', async () => {
    await append(value(1), value(2));
    await append(value(1));
    expect(await ledger.startOffsets('topic', [0, 1])).toEqual(new Map([[0, 1n]]));
  });

  it('can be changed by nobody', async () => {
    await append(value(1));
    for (const url of [database.serviceUrl, database.ownerUrl]) {
      for (const change of ['UPDATE ledger_records SET outcome = outcome', 'DELETE FROM ledger_records', 'TRUNCATE consumed_offsets']) {
        await expect(withClient(url, (client) => client.query(change))).rejects.toThrow(/append-only|permission denied/);
      }
    }
  });

  it('says up to where it holds a writer without a gap', async () => {
    await append(value(1), value(2), value(4));
    const ask = async (from: number) => (await readWatermarks(pool, { writers: [{ writer: WRITER, from }] })).watermarks[0]?.sequence;
    expect([await ask(0), await ask(1), await ask(2)]).toEqual([2, 2, 2]);
    await append(value(3));
    expect(await ask(2)).toBe(4);
  });

  it('finds records by handler, outcome, key, address and time, newest first', async () => {
    await append(value(1), value(2, { handler: 'other', outcome: 'denied', address: '2001:db8::1', apiKeyId: null }), value(3));
    const find = async (query: object) => {
      const reply = await queryLedger(pool, { organizationId: ORGANIZATION, query: { size: 100, page: 1, ...query } });
      return reply.status === 'ok' ? reply.value.elements.map(({ sequence }) => sequence) : reply.code;
    };
    expect(await find({})).toEqual([3, 2, 1]);
    expect(await find({ size: 1, page: 2 })).toEqual([2]);
    expect(await find({ handler: 'other' })).toEqual([2]);
    expect(await find({ outcome: 'denied' })).toEqual([2]);
    expect(await find({ apiKey: 'b'.repeat(24) })).toEqual([3, 1]);
    expect(await find({ ip: '192.0.2.0/24' })).toEqual([3, 1]);
    expect(await find({ ip: '2001:db8::/32' })).toEqual([2]);
    expect(await find({ from: new Date(1_764_000_000_002).toISOString(), to: new Date(1_764_000_000_003).toISOString() })).toEqual([2]);
  });

  it('keeps every byte of a User-Agent', async () => {
    await append(value(1));
    const reply = await queryLedger(pool, { organizationId: ORGANIZATION, query: { size: 1, page: 1 } });
    expect(reply).toMatchObject({ value: { elements: [{ userAgent: 'agent \u00e9\u00ff' }] } });
  });
});

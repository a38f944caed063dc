import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { auditData, prepareEvent } from '@kms/contracts';
import { CompactRange, SHA256_TREE } from '@kms/merkle';
import { createLogger } from '@kms/platform';
import { createPool, migrate, withClient } from '@kms/postgres';
import { startTestPostgres, type TestDatabase, type TestPostgres } from '@kms/testing';
import type pg from 'pg';
import { AUDIT_MIGRATIONS, auditGrants } from '../migrations/index.ts';
import { AppendBatch } from './append-batch.ts';
import { readHead } from './extend-tree.ts';

const ORGANIZATION = '1'.repeat(24);
const EVENTS = 100_000;
const BATCH = 1_000;
const PARTITIONS = 4;

let postgres: TestPostgres;
let database: TestDatabase;
let pool: pg.Pool;
let ledger: AppendBatch;

beforeAll(async () => {
  postgres = await startTestPostgres();
  database = await postgres.createDatabase();
  await migrate({ ...database, migrations: AUDIT_MIGRATIONS, grants: auditGrants });
  pool = createPool(database.serviceUrl, () => undefined);
  const logger = createLogger('test');
  logger.level = 'silent';
  ledger = new AppendBatch({ pool, operatorOrganizationId: '0'.repeat(24), logger, now: () => new Date() });
}, 60_000);

afterAll(async () => {
  await pool.end();
  await postgres.stop();
});

function event(index: number): Buffer {
  const place = prepareEvent({
    id: index.toString(16).padStart(24, '0'),
    source: '/vault',
    type: 'kms.secret.revealed.v1',
    time: new Date(1_764_000_000_000 + index).toISOString(),
    data: auditData({ organizationId: ORGANIZATION, action: 'reveal', outcome: 'success' }),
  });
  const writer = String(index % PARTITIONS).repeat(24);
  return Buffer.from(place({ writer, sequence: Math.floor(index / PARTITIONS) + 1, previousHash: '0'.repeat(64) }));
}

/** Numbers below `limit`, always the same ones. */
function sequenceOf(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) % limit;
}

/** The events in another order, a tenth of them twice. */
function replay(events: readonly Buffer[], below: (limit: number) => number): Buffer[] {
  const order = [...events, ...Array.from({ length: events.length / 10 }, () => events[below(events.length)] as Buffer)];
  for (let index = order.length - 1; index > 0; index -= 1) {
    const other = below(index + 1);
    [order[index], order[other]] = [order[other] as Buffer, order[index] as Buffer];
  }
  return order;
}

describe('the ledger', () => {
  it('has each of 100,000 events once after three replays, shuffled and with a tenth of them doubled', async () => {
    const below = sequenceOf(7);
    const events = Array.from({ length: EVENTS }, (_, index) => event(index));
    const offsets = Array.from({ length: PARTITIONS }, () => 0n);
    for (let round = 0; round < 3; round += 1) {
      const order = replay(events, below);
      for (let start = 0; start < order.length; start += BATCH) {
        const partition = (start / BATCH) % PARTITIONS;
        const begin = offsets[partition] as bigint;
        const messages = order
          .slice(start, start + BATCH)
          .map((value, index) => ({ offset: begin + BigInt(index), key: Buffer.from(ORGANIZATION), value }));
        const nextOffset = begin + BigInt(messages.length);
        offsets[partition] = nextOffset;
        await ledger.handle({ topic: 'topic', partition, messages, nextOffset });
      }
    }
    const tree = CompactRange.empty();
    // Over a connection of its own: a service's queries end after a time that this one may take on a busy machine.
    const { rows } = await withClient(database.serviceUrl, (client) =>
      client.query<{ bytes: Buffer }>('SELECT bytes FROM ledger_records ORDER BY leaf_index'),
    );
    expect(rows).toHaveLength(EVENTS);
    for (const { bytes } of rows) tree.append(SHA256_TREE.leaf(bytes));
    expect((await readHead(pool, ORGANIZATION)).root()).toEqual(tree.root());
    expect(new Set(rows.map(({ bytes }) => bytes.toString('latin1')))).toEqual(new Set(events.map((bytes) => bytes.toString('latin1'))));
  }, 180_000);
});

import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { auditData, AUDIT_CONTENT_TYPE, AUDIT_TOPIC, organizationOf, prepareEvent } from '@kms/contracts';
import { Journal, Relay, type Message, type PlaceEvent } from '@kms/journal';
import { KafkaPublisher, TopicConsumer, type KafkaConnection } from '@kms/kafka';
import { createLogger } from '@kms/platform';
import { createPool, JOURNAL_SCHEMA, journalGrants, migrate, PostgresJournalStore, PostgresRelayStore, withClient } from '@kms/postgres';
import { startTestBroker, startTestPostgres, waitFor, type TestBroker, type TestPostgres } from '@kms/testing';
import type pg from 'pg';
import { AppendBatch } from '../ingest/append-batch.ts';
import { AUDIT_MIGRATIONS, auditGrants } from '../migrations/index.ts';
import { readWatermarks } from '../query/read-watermarks.ts';
import { CheckChains } from './check-chains.ts';
import { readCompleteness } from './read-completeness.ts';
import { settleParked } from './settle-parked.ts';

const ORGANIZATION = '1'.repeat(24);
const OPERATOR = '0'.repeat(24);
const logger = createLogger('test');
logger.level = 'silent';
const nextId = () => randomBytes(12).toString('hex');

let postgres: TestPostgres;
let broker: TestBroker;
let pool: pg.Pool;
let url: string;
let ledger: AppendBatch;
let consumer: TopicConsumer;
let publisher: KafkaPublisher;
let said: unknown[];

/** What is on the way to the topic is lost where this says so, though it is acknowledged. */
let loses: (message: Message) => boolean = () => false;
/** Everything that was sent, as often as it was. */
let sent: string[] = [];

beforeAll(async () => {
  [postgres, broker] = await Promise.all([startTestPostgres(), startTestBroker(AUDIT_TOPIC)]);
  const [journal, audit] = [await postgres.createDatabase(), await postgres.createDatabase()];
  url = journal.serviceUrl;
  await withClient(journal.ownerUrl, async (client) => {
    for (const statement of [...JOURNAL_SCHEMA, ...journalGrants(new URL(url).username)]) await client.query(statement);
  });
  await migrate({ ...audit, migrations: AUDIT_MIGRATIONS, grants: auditGrants });
  pool = createPool(audit.serviceUrl, () => undefined);
  const connection: KafkaConnection = { brokers: () => broker.brokers(), security: {} };
  publisher = new KafkaPublisher({ connection, clientId: 'test', logger, topic: AUDIT_TOPIC, contentType: AUDIT_CONTENT_TYPE });
  ledger = new AppendBatch({ pool, operatorOrganizationId: OPERATOR, logger, now: () => new Date() });
  const fail = (error: Error) => {
    throw error;
  };
  consumer = new TopicConsumer({ connection, clientId: 'test', groupId: 'test', topic: AUDIT_TOPIC, handler: ledger, logger, fail });
  consumer.start();
}, 120_000);

afterAll(async () => {
  await consumer.stop();
  await publisher.close();
  await pool.end();
  await broker.stop();
  await postgres.stop();
}, 60_000);

beforeEach(() => {
  loses = () => false;
  sent = [];
});

const readable: PlaceEvent = (position) =>
  prepareEvent({
    id: position.sequence.toString(16).padStart(24, '0'),
    source: '/vault',
    type: 'kms.secret.revealed.v1',
    time: '2026-01-01T00:00:00Z',
    data: auditData({ organizationId: ORGANIZATION, action: 'reveal', outcome: 'success' }),
  })(position);
/** What a later version of a service may write, and this ledger cannot read. */
const unreadable: PlaceEvent = (position) => readable(position).replace('kms.secret.revealed.v1', 'kms.secret.lent.v2');
/** Nothing of it says whose it is. */
const garbage: PlaceEvent = () => `garbage "organizationId":"${ORGANIZATION}"`;

/** A service's journal and its relay, as they are in production but for their pauses. */
async function write(...places: PlaceEvent[]): Promise<{ writer: string; relay: Relay; close: () => Promise<void> }> {
  const send = async (messages: readonly Message[]) => {
    sent.push(...messages.map(({ value }) => value.toString()));
    const kept = messages.filter((message) => !loses(message));
    if (kept.length > 0) await publisher.publish(kept);
  };
  const relay = new Relay({
    store: new PostgresRelayStore({ url }),
    publisher: { publish: send },
    ledger: {
      watermarks: async (writers) => (await readWatermarks(pool, { writers: [...writers] })).watermarks,
      settleParked: async (writer, events) => (await settleParked(pool, { writer, events: [...events] })).parked,
    },
    keyOf: organizationOf,
    timing: { resendAfter: 1_000, watermarkEvery: 50, retryAfter: 50 },
  });
  const journal = new Journal({ store: new PostgresJournalStore({ url, nextId }), onCommitted: (block) => relay.committed(block) });
  await journal.open();
  const writer = journal.writer as string;
  relay.start();
  for (const place of places) await journal.append(place);
  const close = async () => {
    await journal.close();
    await relay.stop();
  };
  return { writer, relay, close };
}

const of = async (writer: string) => (await readCompleteness(pool, new Date())).writers.find((known) => known.writer === writer);

/** Up to where a relay knows that the ledger holds a writer's events. */
const reached = (relay: Relay, writer: string) => relay.standings.find((standing) => standing.writer === writer)?.acknowledged;

function chains(): CheckChains {
  said = [];
  const say = (fields: object, message: string) => void said.push([message, fields]);
  const logger = { fatal: say, error: say, warn: say, info: say } as never;
  return new CheckChains({ pool, logger, now: () => new Date() });
}

describe('what is missing in the ledger', () => {
  it('comes again from its journal over the topic, and the gap is closed', async () => {
    loses = ({ value }) => value.includes('"sequence":"0000000000000003"');
    const { writer, relay, close } = await write(...Array.from({ length: 5 }, () => readable));
    await waitFor('the gap', async () => (await of(writer))?.gaps.length, 60_000);
    expect(await of(writer)).toMatchObject({ complete: false, highest: 2, gaps: [{ from: 3, to: 3 }] });
    loses = () => false;
    await waitFor('the gap to close', async () => (await of(writer))?.complete, 60_000);
    expect(await of(writer)).toMatchObject({ highest: 5, gaps: [], chainBreaks: [], parked: [] });
    await waitFor('the watermark', () => reached(relay, writer) === 5, 60_000);
    await close();
    const { rows } = await pool.query('SELECT FROM ledger_records WHERE writer = $1', [writer]);
    expect(rows).toHaveLength(5);
  }, 120_000);
});

describe('an event that the ledger cannot understand', () => {
  it.each([
    ['by its schema', unreadable],
    ['in any way', garbage],
  ])(
    '%s is parked once, counts as held, is not sent again, and is an alarm',
    async (_what, place) => {
      const parkedBefore = ledger.parked.unreadable;
      const { writer, relay, close } = await write(readable, place, readable, place, readable);
      await waitFor('the watermark', () => reached(relay, writer) === 5, 60_000);
      // The same bytes twice are the same message to the ledger, and both of their numbers are held.
      const isSame = place === garbage;
      expect(sent.length).toBe(5);
      expect(ledger.parked.unreadable - parkedBefore).toBe(isSame ? 1 : 2);
      const parked = [{ sequence: 2 }, { sequence: 4 }];
      expect(await of(writer)).toMatchObject({ complete: false, highest: 5, gaps: [], chainBreaks: [], parked });
      const subject = chains();
      await subject.checkNew();
      expect(said).toEqual(parked.map(({ sequence }) => [expect.stringContaining('parked message only'), { writer, sequence }]));
      await subject.checkNew();
      expect([said.length, subject.chainBreaks, await of(writer)]).toMatchObject([2, 0, { highest: 5, chainBreaks: [] }]);
      await close();
    },
    120_000,
  );

  it('does not count as held for what a message on the topic says of itself', async () => {
    const writer = nextId();
    const [first, second] = [1, 2].map((sequence) => Buffer.from(readable({ writer, sequence, previousHash: '0'.repeat(64) })));
    await publisher.publish([
      { key: 'another', value: second as Buffer },
      { key: ORGANIZATION, value: first as Buffer },
    ]);
    await waitFor('both', async () => (await of(writer))?.highest === 1 && ledger.parked['wrong-key'] === 1, 60_000);
    expect((await settleParked(pool, { writer, events: [{ sequence: 2, sha256: '0'.repeat(64) }] })).parked).toEqual([]);
    expect((await readWatermarks(pool, { writers: [{ writer, from: 0 }] })).watermarks).toEqual([{ writer, sequence: 1 }]);
  }, 120_000);
});

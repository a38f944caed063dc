import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { AUDIT_CONTENT_TYPE, AUDIT_TOPIC, CHECKPOINT_CONTENT_TYPE, CHECKPOINT_TOPIC } from '@kms/contracts';
import { KafkaPublisher } from '@kms/kafka';
import type { CompactRange } from '@kms/merkle';
import { createLogger } from '@kms/platform';
import { startTestBroker, waitFor, type TestBroker } from '@kms/testing';
import { COMMANDS } from '../commands.ts';
import { kmsAudit } from '../kms-audit.ts';
import { checkpointOf, FixtureTopic, LOG_KEY, organization, writerId } from './topic.fixture.ts';

const logger = createLogger('test');
logger.level = 'silent';

let broker: TestBroker;
let live: Run | undefined;
let publishers: Record<'events' | 'checkpoints', KafkaPublisher>;

async function open(): Promise<void> {
  broker = await startTestBroker(AUDIT_TOPIC, CHECKPOINT_TOPIC);
  const shared = { connection: { brokers: () => broker.brokers(), security: {} }, clientId: 'test', logger };
  publishers = {
    events: new KafkaPublisher({ ...shared, topic: AUDIT_TOPIC, contentType: AUDIT_CONTENT_TYPE }),
    checkpoints: new KafkaPublisher({ ...shared, topic: CHECKPOINT_TOPIC, contentType: CHECKPOINT_CONTENT_TYPE }),
  };
}

async function close(): Promise<void> {
  live?.stop();
  await live?.code;
  live = undefined;
  await Promise.all([publishers.events.close(), publishers.checkpoints.close()]);
  await broker.stop();
}

interface Run {
  printed: string[];
  noted: string[];
  stop(): void;
  code: Promise<number>;
}

function start(...args: string[]): Run {
  const ending = new AbortController();
  const [printed, noted]: [string[], string[]] = [[], []];
  const code = kmsAudit(['follow', '--brokers', broker.brokers().join(','), ...args], COMMANDS, {
    environment: {},
    signal: ending.signal,
    print: (line) => printed.push(line),
    note: (line) => noted.push(line),
  });
  return { printed, noted, stop: () => ending.abort(), code };
}

async function run(...args: string[]): Promise<{ code: number; printed: string; noted: string }> {
  const { code, printed, noted } = start(...args);
  return { code: await code, printed: printed.join('\n'), noted: noted.join('\n') };
}

/** All under one key, so in one partition: it takes all of them or none. A topic that was just made may have no leader for a moment. */
async function send(number: number, ...values: Buffer[]): Promise<void> {
  const messages = values.map((value) => ({ key: organization(number), value }));
  const isSent = () =>
    publishers.events.publish(messages).then(
      () => true,
      () => false,
    );
  await waitFor('the broker to take the messages', isSent, 30_000);
}

/** Ten events of each of three organizations, with a double, and a checkpoint over those of the first. */
async function fill(topic: FixtureTopic): Promise<void> {
  for (let sent = 0; sent < 30; sent += 1) topic.send(sent % 2, sent % 3);
  for (const [number, messages] of topic.partitions.entries()) await send(number, ...messages.map(({ value }) => value as Buffer));
  await send(0, topic.partitions[0]?.[0]?.value as Buffer);
}

async function signTree(topic: FixtureTopic, number: number): Promise<void> {
  const { size, ...tree } = { size: topic.trees.get(number)?.size as number, root: (topic.trees.get(number) as CompactRange).root() };
  const value = await checkpointOf(number, { size, ...tree });
  await publishers.checkpoints.publish([{ key: organization(number), value }]);
}

describe('kms-audit follow', () => {
  // Each test has a broker of its own: what is on the topic is what it put there.
  beforeEach(open, 90_000);
  afterEach(close, 30_000);

  it('says that all is good up to the end, and what it saw', async () => {
    const topic = new FixtureTopic();
    await fill(topic);
    await signTree(topic, 1);
    const { code, printed, noted } = await run('--until-end', '--key', LOG_KEY);
    expect([code, noted]).toEqual([0, 'Reading kms.audit.v1: 4 partitions.']);
    expect(printed).toContain(`log ${organization(1)}: signed up to 10, reproduced up to 10`);
    expect(printed).toMatch(
      /^ok: 30 events of 3 organizations by 2 writers, 1 double, nothing missing, 1 checkpoint, 1 of them reproduced$/m,
    );
    // Once more, from a fresh start: nothing was committed, so all of it is read again.
    const lines = (await run('--until-end', '--json')).printed.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toEqual([expect.objectContaining({ kind: 'end', ok: true, events: 30, checkpoints: 0 })]);
  }, 60_000);

  it('names a gap, a changed event and what is none by their places, and ends with 1', async () => {
    const topic = new FixtureTopic();
    await fill(topic);
    const skipped = topic.make(7, 1);
    await send(1, topic.make(7, 1), Buffer.from('{"no":"event"}'));
    await send(0, Buffer.from(String(topic.partitions[0]?.[2]?.value).replace('"success"', '"denied"')));
    const { code, printed } = await run('--until-end', '--json', '--grace', '0');
    const found = printed.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
    const sequence = Number((JSON.parse(String(topic.partitions[0]?.[2]?.value)) as { sequence: string }).sequence);
    expect(
      found
        .map(({ code: kind }) => kind)
        .filter(Boolean)
        .sort(),
    ).toEqual(['conflict', 'gap', 'schema']);
    expect(found).toContainEqual(expect.objectContaining({ code: 'gap', writer: writerId(7), sequence: 1, topic: AUDIT_TOPIC }));
    expect(found).toContainEqual(expect.objectContaining({ code: 'conflict', writer: writerId(0), sequence, offset: '11' }));
    expect(found.at(-1)).toMatchObject({ kind: 'end', ok: false, violations: 3 });
    expect(code).toBe(1);
    await send(1, skipped);
  }, 60_000);

  it('follows live: a gap that closes is taken back, and a fork is not', async () => {
    const topic = new FixtureTopic();
    await fill(topic);
    const run = (live = start('--json', '--grace', '0', '--key', LOG_KEY));
    const has = (text: string) => waitFor(text, () => run.printed.some((line) => line.includes(text)), 30_000);
    await waitFor('the first look', () => run.noted.length > 0, 30_000);
    const [first, second, third] = [topic.send(9, 1), topic.send(9, 1), topic.send(9, 1)].map(({ value }) => value as Buffer);
    await signTree(topic, 1);
    await send(1, first as Buffer);
    await send(1, third as Buffer);
    await has('"code":"gap"');
    await send(1, second as Buffer);
    await has('"code":"gap-closed"');
    const forged = await checkpointOf(1, { size: 13, root: Buffer.alloc(32, 1) });
    await publishers.checkpoints.publish([{ key: organization(1), value: forged }]);
    await has('"code":"fork"');
    run.stop();
    expect(await run.code).toBe(1);
    expect(JSON.parse(run.printed.at(-1) as string)).toMatchObject({
      violations: 1,
      gaps: 0,
      first: expect.stringContaining('Two trees of 13'),
    });
  }, 60_000);
});

describe('a call of kms-audit follow that cannot run', () => {
  beforeAll(open, 90_000);
  afterAll(close, 30_000);

  it.each([
    [['--from', 'yesterday'], /^--from must be beginning, now, or offsets/],
    [['--from', '99:0'], /^--from names partition 99, which the topic does not have\./],
    [['--from', '0:5'], /^--from names offset 5 in partition 0, which holds 0 to 0\./],
    [['--key', 'nonsense'], /^--key is no public key/],
    [['--witness', LOG_KEY], /^--witness needs/],
    [['--grace', 'long'], /^--grace must be a number of seconds/],
    [['extra'], /Unexpected argument/],
    [['--brokers', 'nowhere'], /^KAFKA_BROKERS is not valid/],
    [['--brokers', '127.0.0.1:1'], /^Kafka does not answer/],
  ])(
    '%j: one sentence and 2',
    async (args, sentence) => {
      expect(await run(...args)).toEqual({ code: 2, printed: '', noted: expect.stringMatching(sentence) });
    },
    30_000,
  );
});

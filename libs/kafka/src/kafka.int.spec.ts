import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createLogger } from '@kms/platform';
import { startTestBroker, usesApacheKafka, waitFor, type TestBroker } from '@kms/testing';
import { KafkaPublisher, TopicConsumer, type BatchHandler, type KafkaConnection, type MessageBatch } from './index.ts';

const TOPIC = 'kms.test.v1';
const logger = createLogger('test');
logger.level = 'silent';

let broker: TestBroker;
let connection: KafkaConnection;

/** What a consumer was handed, with the offsets that go with it: both are kept, or neither. */
class Memory implements BatchHandler {
  readonly taken: { key: string; value: string; partition: number }[] = [];
  readonly offsets = new Map<number, bigint>();
  readonly batches: MessageBatch[] = [];
  /** How many of the next batches are refused. */
  refusals = 0;

  async startOffsets(): Promise<ReadonlyMap<number, bigint>> {
    return this.offsets;
  }

  async handle(batch: MessageBatch): Promise<void> {
    this.batches.push(batch);
    if (this.refusals > 0) {
      this.refusals -= 1;
      throw new Error('not now');
    }
    for (const { key, value } of batch.messages) this.taken.push({ key: String(key), value: String(value), partition: batch.partition });
    this.offsets.set(batch.partition, batch.nextOffset);
  }

  valuesOf(key: string): string[] {
    return this.taken.filter((message) => message.key === key).map(({ value }) => value);
  }
}

const publisher = (topic = TOPIC) => new KafkaPublisher({ connection, clientId: 'test', logger, topic, contentType: 'text/plain' });
const messages = (key: string, ...values: string[]) => values.map((value) => ({ key, value: Buffer.from(value) }));

let groups = 0;
/** A consumer in a group of its own that hands everything to `memory`, and what it failed with for good. */
function consumer(memory: BatchHandler) {
  groups += 1;
  const failures: Error[] = [];
  const reader = new TopicConsumer({
    connection,
    clientId: 'test',
    groupId: `group-${groups}`,
    topic: TOPIC,
    handler: memory,
    logger,
    fail: (error) => failures.push(error),
  });
  reader.start();
  return { stop: () => reader.stop(), failures };
}

beforeAll(async () => {
  broker = await startTestBroker(TOPIC);
  connection = { brokers: () => broker.brokers(), security: {} };
}, 90_000);

afterAll(() => broker.stop(), 30_000);

describe(usesApacheKafka ? 'Apache Kafka' : 'the stand-in', () => {
  it('brings each key’s messages in their order, in one partition', async () => {
    const sender = publisher();
    const values = Array.from({ length: 300 }, (_, index) => String(index));
    for (const key of ['a', 'b', 'c']) await sender.publish(messages(key, ...values));
    const memory = new Memory();
    const reader = consumer(memory);
    await waitFor('all messages', () => memory.taken.length >= 900, 30_000);
    for (const key of ['a', 'b', 'c']) {
      expect(memory.valuesOf(key)).toEqual(values);
      expect(new Set(memory.taken.filter((message) => message.key === key).map(({ partition }) => partition)).size).toBe(1);
    }
    expect(memory.batches.every((batch) => batch.messages.length <= 500)).toBe(true);
    await reader.stop();
    await sender.close();
  }, 60_000);

  it('goes on from the handler’s own offsets, and hands a batch over again until it is taken', async () => {
    const sender = publisher();
    const memory = new Memory();
    await sender.publish(messages('resumed', '1', '2'));
    const first = consumer(memory);
    await waitFor('the first two', () => memory.valuesOf('resumed').length === 2, 30_000);
    await first.stop();

    memory.refusals = 3;
    await sender.publish(messages('resumed', '3'));
    const second = consumer(memory);
    await waitFor('the third', () => memory.valuesOf('resumed').length === 3, 30_000);
    expect(memory.valuesOf('resumed')).toEqual(['1', '2', '3']);
    expect(memory.refusals).toBe(0);
    await second.stop();
    await sender.close();
  }, 90_000);

  it('starts at the first message that there is where the kept offset is not in the partition', async () => {
    const sender = publisher();
    await sender.publish(messages('expired', '1'));
    const memory = new Memory();
    for (const partition of [0, 1, 2, 3]) memory.offsets.set(partition, 1_000_000n);
    const reader = consumer(memory);
    await waitFor('the message', () => memory.valuesOf('expired').includes('1'), 30_000);
    await reader.stop();
    await sender.close();
  }, 60_000);

  it('says that a topic is missing, and never makes it', async () => {
    const sender = publisher('kms.missing.v1');
    const refusal = usesApacheKafka ? /kms\.missing\.v1 does not exist/ : /./;
    await expect(sender.publish(messages('key', '1'))).rejects.toThrow(refusal);
    await sender.close();
  }, 60_000);

  it('sends and reads on after the broker was killed', async () => {
    const sender = publisher();
    const memory = new Memory();
    const reader = consumer(memory);
    await sender.publish(messages('outage', '1'));
    await waitFor('the message before', () => memory.valuesOf('outage').includes('1'), 30_000);
    await broker.kill();
    await expect(sender.publish(messages('outage', '2'))).rejects.toThrow();
    await broker.restart();
    const sent = () =>
      sender.publish(messages('outage', '2')).then(
        () => true,
        () => false,
      );
    await waitFor('a message to be sent', sent, 60_000);
    await waitFor('the message after', () => memory.valuesOf('outage').includes('2'), 60_000);
    expect(reader.failures).toEqual([]);
    await reader.stop();
    await sender.close();
  }, 180_000);
});

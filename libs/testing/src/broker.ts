import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startKafka, type ClientSecurity } from '@kms/apache-kafka';
import { startBroker, type Broker } from '@kms/embedded';
import { Kafka, logLevel } from 'kafkajs';
import { waitFor } from './wait-for.ts';

/** A broker of a test's own. */
export interface TestBroker {
  /** Where it is now: the stand-in comes back on another port. */
  brokers: () => string[];
  pid(): number;
  kill(): Promise<void>;
  /** Starts it again after it was killed: Apache Kafka with its data, the stand-in empty. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Whether tests run against Apache Kafka, which needs Java and Maven, and not against the stand-in. */
export const usesApacheKafka = process.env['KMS_TEST_KAFKA'] === 'apache';

/** Starts the stand-in, or Apache Kafka where `KMS_TEST_KAFKA` is `apache`, with topics of 4 partitions. */
export async function startTestBroker(...topics: readonly string[]): Promise<TestBroker> {
  if (!usesApacheKafka) return startStandIn(topics);
  const broker = await startApacheKafka();
  await createTopics(broker.brokers(), topics);
  return broker;
}

async function startStandIn(topics: readonly string[]): Promise<TestBroker> {
  let broker: Broker = await startBroker({ topics });
  return {
    brokers: () => [broker.address],
    pid: () => broker.pid,
    kill: async () => void process.kill(broker.pid, 'SIGKILL'),
    restart: async () => void (broker = await startBroker({ topics })),
    stop: () => broker.stop(),
  };
}

/** Starts one broker of Apache Kafka without topics; with `security` it asks its clients who they are. */
export async function startApacheKafka(security?: ClientSecurity): Promise<TestBroker> {
  const directory = await mkdtemp(join(tmpdir(), 'kms-kafka-'));
  const cluster = await startKafka({ brokers: 1, directory, ...(security && { security }) });
  return {
    brokers: () => [...cluster.brokers],
    pid: () => cluster.pid(1) as number,
    kill: () => cluster.kill(1),
    restart: () => cluster.start(1),
    async stop() {
      await cluster.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function createTopics(brokers: string[], topics: readonly string[]): Promise<void> {
  const admin = new Kafka({ brokers, clientId: 'test', logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.createTopics({ topics: topics.map((topic) => ({ topic, numPartitions: 4, replicationFactor: 1 })), waitForLeaders: true });
  // Who is named as a leader may not know it yet.
  for (const topic of topics) {
    const isLed = () =>
      admin.fetchTopicOffsets(topic).then(
        () => true,
        () => false,
      );
    await waitFor(`the leaders of ${topic}`, isLed, 30_000);
  }
  await admin.disconnect();
}

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startKafka } from '@kms/apache-kafka';
import { startBroker, type Broker } from '@kms/embedded';
import { Kafka, logLevel } from 'kafkajs';

/** A broker of a test's own, with one topic. */
export interface TestBroker {
  /** Where it is now: the stand-in comes back on another port. */
  brokers: () => string[];
  kill(): Promise<void>;
  /** Starts it again after it was killed: Apache Kafka with its data, the stand-in empty. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Whether tests run against Apache Kafka, which needs Java and Maven, and not against the stand-in. */
export const usesApacheKafka = process.env['KMS_TEST_KAFKA'] === 'apache';

/** Starts the stand-in, or Apache Kafka where `KMS_TEST_KAFKA` is `apache`. */
export function startTestBroker(topic: string): Promise<TestBroker> {
  return usesApacheKafka ? startApache(topic) : startStandIn(topic);
}

async function startStandIn(topic: string): Promise<TestBroker> {
  let broker: Broker = await startBroker({ topic });
  return {
    brokers: () => [broker.address],
    kill: async () => void process.kill(broker.pid, 'SIGKILL'),
    restart: async () => void (broker = await startBroker({ topic })),
    stop: () => broker.stop(),
  };
}

async function startApache(topic: string): Promise<TestBroker> {
  const directory = await mkdtemp(join(tmpdir(), 'kms-kafka-'));
  const cluster = await startKafka({ brokers: 1, directory });
  const brokers = [...cluster.brokers];
  const admin = new Kafka({ brokers, clientId: 'test', logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: 4, replicationFactor: 1 }], waitForLeaders: true });
  await admin.disconnect();
  return {
    brokers: () => brokers,
    kill: () => cluster.kill(1),
    restart: () => cluster.start(1),
    async stop() {
      await cluster.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

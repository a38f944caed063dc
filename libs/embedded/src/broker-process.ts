import { once } from 'node:events';
import { KafkaClientConfig } from 'kafka-crab-js';
import { Kafka, logLevel } from 'kafkajs';

const topic = process.argv[2] ?? '';
process.once('disconnect', () => process.exit(0));

// The parent reads the cluster's address from this process's output and tells it back.
const told = once(process, 'message') as Promise<[{ address: string }]>;
const cluster = new KafkaClientConfig({
  brokers: '127.0.0.1:1',
  clientId: 'kms-broker',
  logLevel: 'info',
  configuration: { 'test.mock.num.brokers': '1' },
});
// The cluster lives as long as the client that made it.
const host = cluster.createProducer({ autoFlush: true });
process.once('exit', () => host.inFlightCount());

const [{ address }] = await told;
const producer = new Kafka({ brokers: [address], clientId: 'kms-broker', logLevel: logLevel.NOTHING }).producer({
  allowAutoTopicCreation: true,
});
await producer.connect();
await producer.send({ topic, acks: -1, messages: [] });
await producer.disconnect();
process.send?.({ address });

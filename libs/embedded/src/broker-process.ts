import { KafkaClientConfig } from 'kafka-crab-js';

// The address does not matter: with test.mock.num.brokers librdkafka replaces it by that of its own mock cluster, and logs it.
const client = new KafkaClientConfig({
  brokers: '127.0.0.1:1',
  clientId: 'broker',
  logLevel: 'info',
  configuration: { 'test.mock.num.brokers': '1' },
});

// The cluster lives as long as a client of it does, so the producer must stay reachable.
const producer = client.createProducer({ autoFlush: true });

// The channel to the parent keeps this process alive, and its end is how a process whose parent was killed learns of it.
process.once('disconnect', () => process.exit(producer ? 0 : 1));

export type { BatchHandler, ConsumedMessage, MessageBatch } from './batch-handler.ts';
export { brokerList } from './brokers.ts';
export type { KafkaOptions } from './client.ts';
export { TopicConsumer, type TopicConsumerOptions } from './consumer.ts';
export { KafkaPublisher, type PublisherOptions } from './publisher.ts';
export { StalledError } from './session.ts';
export { TopicMissingError } from './topic.ts';

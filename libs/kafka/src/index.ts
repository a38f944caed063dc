export type { BatchHandler, ConsumedMessage, MessageBatch, TimedMessage } from './batch-handler.ts';
export type { KafkaOptions } from './client.ts';
export { kafkaConnection, type KafkaConnection } from './connection.ts';
export { TopicConsumer, type TopicConsumerOptions } from './consumer.ts';
export { KafkaPublisher, type PublisherOptions } from './publisher.ts';
export { StalledError } from './session.ts';
export { TopicBounds, type PartitionBounds } from './topic-bounds.ts';
export { ensureTopic, TopicMissingError, type TopicSettings } from './topic.ts';

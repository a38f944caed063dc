import type { Kafka, PartitionMetadata } from 'kafkajs';
import type { produceCall } from './produce.ts';

/** What kafkajs knows of a cluster below its producers: brokers, who leads what, and their connections. */
export interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addTargetTopic(topic: string): Promise<unknown>;
  refreshMetadataIfNecessary(): Promise<void>;
  findTopicPartitionMetadata(topic: string): PartitionMetadata[];
  /** The partitions by the id of the broker that leads them. */
  findLeaderForPartitions(topic: string, partitions: readonly number[]): Record<string, number[]>;
  findBroker(broker: { nodeId: string }): Promise<{ connectionPool: { send(call: ReturnType<typeof produceCall>): Promise<void> } }>;
}

interface ClusterOptions {
  allowAutoTopicCreation: boolean;
  maxInFlightRequests: number;
  metadataMaxAge: number;
}

/** As often as kafkajs's own producers ask who leads a partition, in milliseconds. */
const METADATA_MAX_AGE_MS = 300_000;

/**
 * A cluster of a client's, as its producers have one. kafkajs gives it no public name; its version is pinned, and the tests against a broker
 * fail where another version has none.
 */
export function createCluster(kafka: Kafka): Cluster {
  const symbol = Object.getOwnPropertySymbols(kafka).find(({ description }) => description === 'private:Kafka:createCluster');
  if (symbol === undefined) throw new Error('This version of kafkajs has no cluster to send with.');
  const create = (kafka as unknown as Record<symbol, (options: ClusterOptions) => Cluster>)[symbol] as (options: ClusterOptions) => Cluster;
  return create({ allowAutoTopicCreation: false, maxInFlightRequests: 1, metadataMaxAge: METADATA_MAX_AGE_MS });
}

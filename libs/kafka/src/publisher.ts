import type { EventPublisher, Message } from '@kms/journal';
import { failpoint } from '@kms/platform';
import { Partitioners, type Kafka, type PartitionMetadata } from 'kafkajs';
import { chunks } from './chunks.ts';
import { createClient, type KafkaOptions } from './client.ts';
import { createCluster, type Cluster } from './cluster.ts';
import { produceCall } from './produce.ts';
import { encodeHeaders, encodeRecordBatch, type ProducedMessage } from './record-batch.ts';
import { assertTopic } from './topic.ts';

/** What one produce request holds at most: brokers refuse a partition's batch of more than 1 MiB by default. */
const REQUEST_LIMITS = { messages: 1_000, bytes: 512 * 1024 };
/** Longest time that a broker waits for its replicas, in milliseconds. */
const REPLICATION_TIMEOUT_MS = 5_000;
/** Calls that may wait for the one that sends. A relay waits for each of its own, so this is the number of relays. */
const MAX_WAITING = 64;

const partitionOf = Partitioners.DefaultPartitioner();

export interface PublisherOptions extends KafkaOptions {
  topic: string;
  /** The value of each message's `content-type` header. */
  contentType: string;
}

/**
 * Sends events to a topic, acknowledged by all in-sync replicas, in order, one request at a time. The partition follows from the key by
 * Kafka's own rule (murmur2), so that a key stays in one partition whichever client sends it.
 *
 * A call may have sent a part of its messages, or all, when it throws: the caller sends again and the reader drops what it knows
 * (an idempotent kafkajs producer can lose acknowledged messages, so it is not one). After a failure all connections are thrown away.
 *
 * kafkajs finds the brokers and keeps the connections; the record batches are made here (see `record-batch.ts`).
 */
export class KafkaPublisher implements EventPublisher {
  readonly #options: PublisherOptions;
  readonly #headers: Buffer;
  #cluster: Cluster | undefined;
  #tail: Promise<void> = Promise.resolve();
  #waiting = 0;
  #closed = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#headers = encodeHeaders({ 'content-type': options.contentType });
  }

  /** Resolves when the broker has acknowledged every message. Throws `TopicMissingError`, or what kafkajs failed with after its retries. */
  publish(messages: readonly Message[]): Promise<void> {
    if (this.#waiting >= MAX_WAITING) return Promise.reject(new Error('Too many publishers wait for Kafka.'));
    this.#waiting += 1;
    const sent = this.#tail.then(() => this.#send(messages));
    this.#tail = sent.then(
      () => this.#left(),
      () => this.#left(),
    );
    return sent;
  }

  /** Waits for the request under way, refuses the ones that wait, and disconnects. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#tail;
    await this.#discard();
  }

  #left(): void {
    this.#waiting -= 1;
  }

  async #send(messages: readonly Message[]): Promise<void> {
    if (this.#closed) throw new Error('The publisher is closed.');
    try {
      this.#cluster ??= await this.#connect();
      failpoint('relay.read');
      for (const chunk of chunks(messages, REQUEST_LIMITS)) await this.#request(this.#cluster, chunk);
      failpoint('relay.produced');
    } catch (error) {
      await this.#discard();
      throw error;
    }
  }

  /** One request to each broker that leads a partition. */
  async #request(cluster: Cluster, messages: readonly Message[]): Promise<void> {
    const { topic } = this.#options;
    await cluster.refreshMetadataIfNecessary();
    const batches = this.#batches(messages, cluster.findTopicPartitionMetadata(topic));
    const leaders = Object.entries(cluster.findLeaderForPartitions(topic, [...batches.keys()]));
    if (leaders.flatMap(([, partitions]) => partitions).length < batches.size) throw new Error('A partition of the topic has no leader.');
    const requests = leaders.map(async ([nodeId, partitions]) => {
      const broker = await cluster.findBroker({ nodeId });
      const own = new Map(partitions.map((partition) => [partition, batches.get(partition) as Buffer]));
      await broker.connectionPool.send(produceCall(topic, own, REPLICATION_TIMEOUT_MS));
    });
    await Promise.all(requests);
  }

  #batches(messages: readonly Message[], partitionMetadata: PartitionMetadata[]): Map<number, Buffer> {
    const { topic } = this.#options;
    const partitions = new Map<string, number>();
    const groups = new Map<number, ProducedMessage[]>();
    for (const message of messages) {
      let partition = partitions.get(message.key);
      if (partition === undefined) {
        partition = partitionOf({ topic, partitionMetadata, message });
        partitions.set(message.key, partition);
      }
      const group = groups.get(partition);
      const produced = message.traceparent === undefined ? message : this.#traced(message, message.traceparent);
      if (group === undefined) groups.set(partition, [produced]);
      else group.push(produced);
    }
    const time = Date.now();
    return new Map([...groups].map(([partition, group]) => [partition, encodeRecordBatch(group, this.#headers, time)]));
  }

  #traced({ key, value }: Message, traceparent: string): ProducedMessage {
    return { key, value, headers: encodeHeaders({ 'content-type': this.#options.contentType, traceparent }) };
  }

  async #connect(): Promise<Cluster> {
    const kafka = createClient(this.#options);
    await this.#checkTopic(kafka);
    const cluster = createCluster(kafka);
    try {
      await cluster.connect();
      await cluster.addTargetTopic(this.#options.topic);
      return cluster;
    } catch (error) {
      await cluster.disconnect();
      throw error;
    }
  }

  async #checkTopic(kafka: Kafka): Promise<void> {
    const admin = kafka.admin();
    try {
      await admin.connect();
      await assertTopic(admin, this.#options.topic);
    } finally {
      await admin.disconnect();
    }
  }

  async #discard(): Promise<void> {
    const cluster = this.#cluster;
    this.#cluster = undefined;
    try {
      await cluster?.disconnect();
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'A connection to Kafka did not end cleanly.');
    }
  }
}

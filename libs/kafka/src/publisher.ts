import type { EventPublisher } from '@kms/journal';
import { failpoint } from '@kms/platform';
import { Partitioners, type Kafka, type Producer } from 'kafkajs';
import { chunks } from './chunks.ts';
import { createClient, type KafkaOptions } from './client.ts';
import { assertTopic } from './topic.ts';

/** What one produce request holds at most: brokers refuse a partition's batch of more than 1 MiB by default. */
const REQUEST_LIMITS = { messages: 1_000, bytes: 512 * 1024 };
/** Longest time that a broker waits for its replicas, in milliseconds. */
const REPLICATION_TIMEOUT_MS = 5_000;
/** Calls that may wait for the one that sends. A relay waits for each of its own, so this is the number of relays. */
const MAX_WAITING = 64;

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
 * (an idempotent kafkajs producer can lose acknowledged messages, so it is not one). After a failure the producer is thrown away.
 */
export class KafkaPublisher implements EventPublisher {
  readonly #options: PublisherOptions;
  #producer: Producer | undefined;
  #tail: Promise<void> = Promise.resolve();
  #waiting = 0;
  #closed = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Resolves when the broker has acknowledged every message. Throws `TopicMissingError`, or what kafkajs failed with after its retries. */
  publish(messages: readonly { key: string; value: Buffer }[]): Promise<void> {
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

  async #send(messages: readonly { key: string; value: Buffer }[]): Promise<void> {
    if (this.#closed) throw new Error('The publisher is closed.');
    try {
      this.#producer ??= await this.#connect();
      failpoint('relay.read');
      for (const chunk of chunks(messages, REQUEST_LIMITS)) await this.#request(this.#producer, chunk);
      failpoint('relay.produced');
    } catch (error) {
      await this.#discard();
      throw error;
    }
  }

  async #request(producer: Producer, chunk: { key: string; value: Buffer }[]): Promise<void> {
    const { topic, contentType } = this.#options;
    const headers = { 'content-type': contentType };
    await producer.send({
      topic,
      acks: -1,
      timeout: REPLICATION_TIMEOUT_MS,
      messages: chunk.map(({ key, value }) => ({ key, value, headers })),
    });
  }

  async #connect(): Promise<Producer> {
    const kafka = createClient(this.#options);
    await this.#checkTopic(kafka);
    const producer = kafka.producer({
      allowAutoTopicCreation: false,
      idempotent: false,
      maxInFlightRequests: 1,
      createPartitioner: Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    return producer;
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
    const producer = this.#producer;
    this.#producer = undefined;
    try {
      await producer?.disconnect();
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'A Kafka producer did not disconnect cleanly.');
    }
  }
}

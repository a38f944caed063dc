import type { Admin } from 'kafkajs';
import { createClient, type KafkaOptions } from './client.ts';
import { assertTopic } from './topic.ts';

/** What a partition holds now. */
export interface PartitionBounds {
  /** The offset of its first message. */
  low: bigint;
  /** The offset behind its last message; it is `low` where there is none. */
  high: bigint;
}

/** Says from where to where a topic's partitions reach, on a connection of its own, which is made anew after a failure. */
export class TopicBounds {
  readonly #options: KafkaOptions & { topic: string };
  #admin: Admin | undefined;

  constructor(options: KafkaOptions & { topic: string }) {
    this.#options = options;
  }

  /** One call at a time. Throws `TopicMissingError`, or what kafkajs failed with after its retries. */
  async read(): Promise<Map<number, PartitionBounds>> {
    const { topic } = this.#options;
    try {
      const admin = (this.#admin ??= await this.#connect());
      const offsets = await admin.fetchTopicOffsets(topic);
      return new Map(offsets.map(({ partition, low, high }) => [partition, { low: BigInt(low), high: BigInt(high) }]));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const admin = this.#admin;
    this.#admin = undefined;
    await admin?.disconnect();
  }

  async #connect(): Promise<Admin> {
    const admin = createClient(this.#options).admin();
    await admin.connect();
    try {
      await assertTopic(admin, this.#options.topic);
    } catch (error) {
      await admin.disconnect();
      throw error;
    }
    return admin;
  }
}

import { randomUUID } from 'node:crypto';
import { TopicBounds, TopicConsumer, type KafkaConnection, type MessageBatch, type PartitionBounds, type TimedMessage } from '@kms/kafka';
import type { Logger } from '@kms/platform';

export interface TopicReaderOptions {
  connection: KafkaConnection;
  topic: string;
  logger: Logger;
}

/** How the process names itself to the brokers, and how its consumer group begins. */
const CLIENT_ID = 'kms-audit-cli';

/**
 * Reads all partitions of a topic beside everybody else: in a consumer group of its own that has no offsets, neither read nor committed, so
 * that no service notices. It connects again for as long as it takes.
 */
export class TopicReader {
  readonly #options: TopicReaderOptions;
  readonly #bounds: TopicBounds;
  readonly #positions = new Map<number, bigint>();
  #consumer: TopicConsumer | undefined;

  constructor(options: TopicReaderOptions) {
    this.#options = options;
    this.#bounds = new TopicBounds({ ...options, clientId: CLIENT_ID });
  }

  /** From where to where the partitions reach now. Throws `TopicMissingError`, or what kafkajs failed with where no broker answers. */
  bounds(): Promise<Map<number, PartitionBounds>> {
    return this.#bounds.read();
  }

  /**
   * Begins to hand over batches, from these offsets; from the first message in partitions without one. `take` is never called twice at a time.
   * `fail` is told once of what a new connection cannot cure.
   */
  start(
    offsets: ReadonlyMap<number, bigint>,
    take: (batch: MessageBatch<TimedMessage>) => Promise<void> | void,
    fail: (error: Error) => void,
  ): void {
    for (const [partition, offset] of offsets) this.#positions.set(partition, offset);
    const { connection, topic, logger } = this.#options;
    this.#consumer = new TopicConsumer({
      connection,
      topic,
      logger,
      fail,
      clientId: CLIENT_ID,
      groupId: `${CLIENT_ID}-${randomUUID()}`,
      concurrency: 1,
      handler: {
        startOffsets: async () => this.#positions,
        handle: async (batch) => {
          await take(batch);
          this.#positions.set(batch.partition, batch.nextOffset);
        },
      },
    });
    this.#consumer.start();
  }

  /** Whether everything below the ends was taken. */
  hasReached(ends: ReadonlyMap<number, PartitionBounds>): boolean {
    return [...ends].every(([partition, { low, high }]) => (this.#positions.get(partition) ?? low) >= high);
  }

  async stop(): Promise<void> {
    await this.#consumer?.stop();
    await this.#bounds.close();
  }
}

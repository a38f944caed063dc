import type { BatchHandler, MessageBatch } from '@kms/kafka';
import { EVENTS, SECONDS, type Distribution, type Metrics } from '@kms/platform';

/** The way into the ledger, counted and timed. */
export class ObservedIngest implements BatchHandler {
  readonly #handler: BatchHandler;
  readonly #batchSeconds: Distribution;
  readonly #batchMessages: Distribution;
  readonly #batches = { appended: 0, failed: 0 };
  /** Messages that wait in this process's partitions, as the consumer saw it last. */
  lag = 0;

  constructor(handler: BatchHandler, metrics: Metrics) {
    this.#handler = handler;
    this.#batchSeconds = metrics.distribution('kms_ingest_batch_seconds', 'How long a batch took into the ledger', SECONDS);
    this.#batchMessages = metrics.distribution('kms_ingest_batch_messages', 'Messages that were taken in together', EVENTS);
    metrics.counts('kms_ingest_batches_total', 'Batches of messages by what became of them', 'outcome', this.#batches);
    metrics.gauge('kms_consumer_lag_messages', 'Messages on the topic that this consumer has not read', () => [{ value: this.lag }]);
  }

  /** How many batches were tried. */
  get attempts(): number {
    return this.#batches.appended + this.#batches.failed;
  }

  startOffsets(topic: string, partitions: readonly number[]): Promise<ReadonlyMap<number, bigint>> {
    return this.#handler.startOffsets(topic, partitions);
  }

  async handle(batch: MessageBatch): Promise<void> {
    const begin = performance.now();
    try {
      await this.#handler.handle(batch);
    } catch (error) {
      this.#batches.failed += 1;
      throw error;
    }
    this.#batches.appended += 1;
    this.#batchSeconds.observe((performance.now() - begin) / 1_000);
    this.#batchMessages.observe(batch.messages.length);
  }
}

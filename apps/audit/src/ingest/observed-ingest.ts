import type { BatchHandler, MessageBatch } from '@kms/kafka';
import { EVENTS, SECONDS, type Distribution, type Metrics, type Tracer } from '@kms/platform';

/** The way into the ledger, counted and timed. */
export class ObservedIngest implements BatchHandler {
  readonly #handler: BatchHandler;
  readonly #tracer: Tracer;
  readonly #batchSeconds: Distribution;
  readonly #batchMessages: Distribution;
  readonly #batches = { appended: 0, failed: 0 };
  /** Messages that wait in this process's partitions, as the consumer saw it last. */
  lag = 0;

  constructor(handler: BatchHandler, metrics: Metrics, tracer: Tracer) {
    this.#handler = handler;
    this.#tracer = tracer;
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
      await (this.#tracer.isOn ? this.#traced(batch) : this.#handler.handle(batch));
    } catch (error) {
      this.#batches.failed += 1;
      throw error;
    }
    this.#batches.appended += 1;
    this.#batchSeconds.observe((performance.now() - begin) / 1_000);
    this.#batchMessages.observe(batch.messages.length);
  }

  /** The batch is a trace of its own, and in each trace of its messages there is a span for as long as it took. */
  async #traced(batch: MessageBatch): Promise<void> {
    const count = { 'messaging.batch.message_count': batch.messages.length };
    const spans = batch.messages.flatMap(({ traceparent }) =>
      traceparent === undefined ? [] : [this.#tracer.start('ledger append', traceparent, count)],
    );
    const whole = this.#tracer.start('ledger batch', null, count);
    let failure: unknown;
    try {
      await this.#tracer.within(whole, () => this.#handler.handle(batch));
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      for (const span of [...spans, whole]) span.end(failure);
    }
  }
}

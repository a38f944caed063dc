import type { Logger } from '@kms/platform';
import kafkajs, { type Admin, type Batch, type Consumer, type EachBatchPayload } from 'kafkajs';
import type { BatchHandler, MessageBatch, TimedMessage } from './batch-handler.ts';
import { chunks } from './chunks.ts';
import { createClient, type KafkaOptions } from './client.ts';
import { StallDetector } from './stall-detector.ts';
import { assertTopic, TopicMissingError } from './topic.ts';
import { backOff, pause } from './waiting.ts';

// A CommonJS package whose errors Node cannot see as named exports.
const { KafkaJSError } = kafkajs;

const HANDLER_LIMITS = { messages: 500, bytes: 4 * 1024 * 1024 };
/** A consumer that went without leaving is missed after this long, in milliseconds. */
const SESSION_TIMEOUT_MS = 10_000;
const HEARTBEAT_INTERVAL_MS = 2_500;
/** How often a heartbeat is offered while a batch is handled; kafkajs sends one when it is due. */
const HEARTBEAT_CHECK_MS = 1_000;
const REBALANCE_TIMEOUT_MS = 30_000;
const MAX_WAIT_MS = 100;
const MAX_PARTITION_BYTES = 1024 * 1024;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;
/** The stall detector's key for the group itself; partitions count from 0. */
const GROUP = -1;

export interface SessionOptions extends KafkaOptions {
  groupId: string;
  topic: string;
  handler: BatchHandler<TimedMessage>;
  /** Partitions that are handled at the same time. */
  concurrency: number;
  /** How often progress is looked at, and how long messages may wait without any, in milliseconds. */
  watch: { intervalMs: number; limitMs: number };
  /** Told with each look at the progress how many messages of this consumer's partitions wait to be read. */
  onLag?: (messages: number) => void;
}

/** A partition that this process reads: where it stands since the group last met. */
interface Reader {
  /** The offset that is read next; undefined until the handler has said where to start. */
  position: bigint | undefined;
  attempts: number;
}

/** Messages wait and nothing happens: kafkajs is stuck without having said so. */
export class StalledError extends Error {
  override readonly name = 'StalledError';
}

/** One kafkajs consumer from its connection to its end. It is not used again after that. */
export class ConsumerSession {
  readonly #options: SessionOptions;
  readonly #logger: Logger;
  readonly #admin: Admin;
  readonly #consumer: Consumer;
  readonly #detector: StallDetector;
  readonly #over = new AbortController();
  #error: Error | undefined;
  #joined = false;
  #hasEverJoined = false;
  #readers = new Map<number, Reader>();

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#detector = new StallDetector(options.watch.limitMs, () => performance.now());
    const kafka = createClient(options);
    this.#admin = kafka.admin();
    this.#consumer = kafka.consumer({
      groupId: options.groupId,
      allowAutoTopicCreation: false,
      sessionTimeout: SESSION_TIMEOUT_MS,
      heartbeatInterval: HEARTBEAT_INTERVAL_MS,
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      maxWaitTimeInMs: MAX_WAIT_MS,
      maxBytesPerPartition: MAX_PARTITION_BYTES,
      retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 1_000, restartOnFailure: async () => false },
    });
  }

  /** Whether the group took this consumer in at least once. */
  get hasEverJoined(): boolean {
    return this.#hasEverJoined;
  }

  /** Reads until {@link stop} (answers undefined) or until the consumer cannot go on (answers why). Everything is closed then. */
  async run(): Promise<Error | undefined> {
    try {
      await this.#start();
      await this.#ended();
    } catch (error) {
      this.#end(error instanceof Error ? error : new Error('Kafka failed.', { cause: error }));
    }
    await this.#close();
    return this.#error;
  }

  /** Lets the batch under way come to its end, hands out no other, and ends {@link run}. */
  stop(): void {
    this.#end(undefined);
  }

  #end(error: Error | undefined): void {
    if (this.#over.signal.aborted) return;
    this.#error = error;
    this.#over.abort();
  }

  #ended(): Promise<void> {
    const { signal } = this.#over;
    return signal.aborted ? Promise.resolve() : new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  }

  async #start(): Promise<void> {
    const { topic, concurrency, watch } = this.#options;
    this.#listen();
    await this.#admin.connect();
    await assertTopic(this.#admin, topic);
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topics: [topic], fromBeginning: true });
    const timer = setInterval(() => void this.#watch(), watch.intervalMs);
    this.#over.signal.addEventListener('abort', () => clearInterval(timer), { once: true });
    if (this.#over.signal.aborted) return clearInterval(timer);
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: concurrency,
      eachBatch: (payload) => this.#eachBatch(payload),
    });
  }

  async #close(): Promise<void> {
    const results = await Promise.allSettled([this.#consumer.disconnect(), this.#admin.disconnect()]);
    for (const result of results) {
      if (result.status === 'rejected') this.#logger.warn({ err: result.reason }, 'A Kafka connection did not close cleanly.');
    }
  }

  #listen(): void {
    const { events } = this.#consumer;
    this.#consumer.on(events.REBALANCING, () => {
      this.#joined = false;
    });
    this.#consumer.on(events.GROUP_JOIN, ({ payload }) => this.#assign(payload.memberAssignment[this.#options.topic] ?? []));
    this.#consumer.on(events.CRASH, ({ payload }) => this.#end(payload.error));
    this.#consumer.on(events.END_BATCH_PROCESS, ({ payload }) => {
      // Batches of nothing but markers are not handed out; the position passes them all the same.
      const reader = this.#readers.get(payload.partition);
      if (payload.batchSize === 0 && reader?.position !== undefined) reader.position = BigInt(payload.lastOffset) + 1n;
    });
  }

  /** Runs before kafkajs fetches for this assignment: nothing is fetched until the handler has said from where. */
  #assign(partitions: number[]): void {
    this.#joined = true;
    this.#hasEverJoined = true;
    this.#readers = new Map(partitions.map((partition) => [partition, { position: undefined, attempts: 0 }]));
    this.#logger.info({ topic: this.#options.topic, partitions }, 'The consumer joined its group.');
    if (partitions.length === 0) return;
    this.#consumer.pause([{ topic: this.#options.topic, partitions }]);
    void this.#position(this.#readers);
  }

  async #position(readers: Map<number, Reader>): Promise<void> {
    const isCurrent = () => this.#readers === readers && !this.#over.signal.aborted;
    for (let failures = 0; isCurrent(); failures += 1) {
      try {
        const starts = await this.#starts([...readers.keys()]);
        if (!isCurrent()) return;
        for (const [partition, reader] of readers) this.#seek(partition, reader, starts.get(partition) ?? 0n);
        return;
      } catch (error) {
        this.#logger.error({ err: error }, 'Where to start in the topic cannot be found out; tried again.');
        for (const reader of readers.values()) reader.attempts += 1;
        await pause(backOff(failures, FIRST_RETRY_MS, LONGEST_RETRY_MS), this.#over.signal);
      }
    }
  }

  #seek(partition: number, reader: Reader, start: bigint): void {
    const { topic } = this.#options;
    this.#consumer.seek({ topic, partition, offset: start.toString() });
    this.#consumer.resume([{ topic, partitions: [partition] }]);
    reader.position = start;
  }

  /** The handler's offsets where the partition still reaches them, the partition's first offset where not. */
  async #starts(partitions: number[]): Promise<Map<number, bigint>> {
    const { topic, handler } = this.#options;
    const [kept, bounds] = await Promise.all([handler.startOffsets(topic, partitions), this.#admin.fetchTopicOffsets(topic)]);
    return new Map(
      bounds.map((bound) => [
        bound.partition,
        this.#reachable(bound.partition, kept.get(bound.partition), BigInt(bound.low), BigInt(bound.high)),
      ]),
    );
  }

  #reachable(partition: number, kept: bigint | undefined, low: bigint, high: bigint): bigint {
    if (kept === undefined) return low;
    if (kept >= low && kept <= high) return kept;
    this.#logger.error(
      { topic: this.#options.topic, partition, kept: kept.toString(), low: low.toString(), high: high.toString() },
      'The partition does not reach the offset to go on from: messages expired, or the broker lost its data. Reading starts at its first message.',
    );
    return low;
  }

  async #eachBatch(payload: EachBatchPayload): Promise<void> {
    const { batch } = payload;
    const reader = this.#readers.get(batch.partition);
    // Fetched for an earlier assignment: it is fetched again from where the handler says.
    if (reader?.position === undefined) return;
    this.#reportJump(batch, reader.position);
    for (const chunk of chunks(batch.messages, HANDLER_LIMITS)) {
      if (!payload.isRunning() || payload.isStale()) return;
      const messages = chunk.map(({ offset, key, value, timestamp, headers }) => ({
        offset: BigInt(offset),
        key,
        value,
        timestamp: Number(timestamp),
        ...(headers?.['traceparent'] && { traceparent: String(headers['traceparent']) }),
      }));
      const last = messages[messages.length - 1];
      if (last === undefined) return;
      const nextOffset = last.offset + 1n;
      const done = await this.#handle(payload, reader, { topic: batch.topic, partition: batch.partition, messages, nextOffset });
      if (!done) return;
      payload.resolveOffset(last.offset.toString());
      reader.position = nextOffset;
    }
  }

  #reportJump({ partition, messages }: Batch, expected: bigint): void {
    const found = messages[0]?.offset;
    if (found === undefined || BigInt(found) === expected) return;
    this.#logger.error(
      { topic: this.#options.topic, partition, expected: expected.toString(), found },
      'The partition goes on at another offset than expected: messages expired, or the broker lost its data.',
    );
  }

  /** Hands a batch over until it is taken; false when the session ended first. Throws what a heartbeat failed with. */
  async #handle(payload: EachBatchPayload, reader: Reader, batch: MessageBatch<TimedMessage>): Promise<boolean> {
    return this.#withHeartbeats(payload, async (isMember) => {
      for (let failures = 0; isMember() && payload.isRunning() && !this.#over.signal.aborted; failures += 1) {
        try {
          await this.#options.handler.handle(batch);
          reader.attempts += 1;
          return true;
        } catch (error) {
          reader.attempts += 1;
          this.#logger.error({ err: error, topic: batch.topic, partition: batch.partition }, 'A batch could not be taken in; tried again.');
          await pause(backOff(failures, FIRST_RETRY_MS, LONGEST_RETRY_MS), this.#over.signal);
        }
      }
      return false;
    });
  }

  async #withHeartbeats<T>(payload: EachBatchPayload, work: (isMember: () => boolean) => Promise<T>): Promise<T> {
    let failure: unknown;
    const beat = () => {
      payload.heartbeat().catch((error: unknown) => {
        failure ??= error;
      });
    };
    const timer = setInterval(beat, HEARTBEAT_CHECK_MS);
    try {
      const result = await work(() => failure === undefined);
      if (failure === undefined || result === true) return result;
      throw failure;
    } finally {
      clearInterval(timer);
    }
  }

  async #watch(): Promise<void> {
    try {
      const bounds = await this.#admin.fetchTopicOffsets(this.#options.topic);
      if (this.#over.signal.aborted) return;
      this.#options.onLag?.(this.#lag(bounds));
      const stalled = bounds.filter(({ partition, high }) => this.#isStalled(partition, BigInt(high))).map(({ partition }) => partition);
      if (this.#detector.isStalled(GROUP, { position: this.#joined ? 0n : -1n, attempts: 0, high: 0n })) stalled.push(GROUP);
      if (stalled.length > 0) this.#end(new StalledError(`The consumer makes no progress in partitions ${stalled.join(', ')}.`));
    } catch (error) {
      // A broker that does not answer is not a stall: the consumer notices by itself, and the clock starts anew.
      this.#logger.warn({ err: error }, 'The lag cannot be found out.');
      this.#detector.reset();
    }
  }

  #lag(bounds: readonly { partition: number; high: string }[]): number {
    const behind = bounds.map(({ partition, high }) => Number(high) - Number(this.#readers.get(partition)?.position ?? high));
    return behind.reduce((total, messages) => total + Math.max(0, messages), 0);
  }

  #isStalled(partition: number, high: bigint): boolean {
    const reader = this.#readers.get(partition);
    if (reader === undefined) return false;
    return this.#detector.isStalled(partition, { position: reader.position ?? -1n, attempts: reader.attempts, high });
  }
}

/** Whether a new session may help: the broker is away, moves or has no topic yet; and not what will fail the same way again. */
export function isPassing(error: Error): boolean {
  if (error instanceof TopicMissingError || error.name === 'KafkaJSNumberOfRetriesExceeded') return true;
  const root = rootCause(error);
  return root instanceof KafkaJSError && root.retriable;
}

function rootCause(error: Error): Error {
  return error.cause instanceof Error ? rootCause(error.cause) : error;
}

import { ConsumerSession, isPassing, type SessionOptions } from './session.ts';
import { backOff, pause } from './waiting.ts';

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 5_000;
/** Longest time that a stop waits for the batch under way and for the broker, in milliseconds. */
const STOP_DEADLINE_MS = 5_000;

export interface TopicConsumerOptions extends Omit<SessionOptions, 'concurrency' | 'watch'> {
  /** Called at most once, with what a new connection cannot cure: the process should end and be started again. */
  fail: (error: Error) => void;
  /** Partitions that are handled at the same time; 2 unless given. */
  concurrency?: number;
  /** How often progress is looked at (10 s), and how long messages may wait without any (60 s), in milliseconds. */
  watch?: SessionOptions['watch'];
}

/**
 * Reads a topic as a member of a consumer group, with offsets that the handler keeps: Kafka's own are neither read nor written. Every
 * message is handed over at least once. A broker that is away is tried again for ever; a consumer that is stuck, or that fails in
 * another way, is reported through `fail`.
 */
export class TopicConsumer {
  readonly #options: TopicConsumerOptions;
  readonly #stopping = new AbortController();
  #session: ConsumerSession | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: TopicConsumerOptions) {
    this.#options = options;
  }

  /** Begins to read, once. Does not wait for a broker. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Waits for the batch under way, at most 5 s, leaves the group and disconnects. No batch is handed over afterwards. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#session?.stop();
    const deadline = new AbortController();
    await Promise.race([this.#loop, pause(STOP_DEADLINE_MS, deadline.signal)]);
    deadline.abort();
  }

  async #run(): Promise<void> {
    const { fail, concurrency = 2, watch = { intervalMs: 10_000, limitMs: 60_000 }, ...options } = this.#options;
    for (let failures = 0; !this.#stopping.signal.aborted; failures += 1) {
      const session = new ConsumerSession({ ...options, concurrency, watch });
      this.#session = session;
      const error = await session.run();
      if (error === undefined || this.#stopping.signal.aborted) return;
      if (!isPassing(error)) return fail(error);
      if (session.hasEverJoined) failures = 0;
      options.logger.error({ err: error }, 'Kafka is not available to the consumer; it connects again.');
      await pause(backOff(failures, FIRST_RETRY_MS, LONGEST_RETRY_MS), this.#stopping.signal);
    }
  }
}

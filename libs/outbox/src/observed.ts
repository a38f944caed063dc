import {
  SessionLostError,
  type Block,
  type EventPublisher,
  type Fence,
  type JournalStore,
  type RelayStep,
  type Resolution,
  type WriterSession,
} from '@kms/journal';
import { EVENTS, SECONDS, type Distribution, type Metrics, type Tracer } from '@kms/platform';

type TransactionWork<Transaction, T> = (transaction: Transaction) => Promise<{ block: Block | null; value: T }>;

const seconds = (begin: number) => (performance.now() - begin) / 1_000;

/** A journal's store whose commits are counted and timed. */
export class ObservedStore<Transaction> implements JournalStore<Transaction> {
  readonly #store: JournalStore<Transaction>;
  readonly #tracer: Tracer;
  readonly #flushSeconds: Distribution;
  readonly #flushEvents: Distribution;
  /** `fenced`: an entry changed meanwhile; `lost`: the connection, perhaps during the commit; `unopened`: there is no connection. */
  readonly #flushes = { committed: 0, fenced: 0, refused: 0, lost: 0, unopened: 0 };
  readonly #changes = { committed: 0, failed: 0 };
  /** How many commits have ended, well or badly, or could not begin. */
  attempts = 0;

  constructor(store: JournalStore<Transaction>, metrics: Metrics, tracer: Tracer) {
    this.#store = store;
    this.#tracer = tracer;
    this.#flushSeconds = metrics.distribution('kms_journal_flush_seconds', 'How long the commit of a group of events took', SECONDS);
    this.#flushEvents = metrics.distribution('kms_journal_flush_events', 'Events that were committed together', EVENTS);
    metrics.counts('kms_journal_flushes_total', 'Commits of groups of events by how they ended', 'outcome', this.#flushes);
    metrics.counts('kms_journal_changes_total', 'Transactions of changes by how they ended', 'outcome', this.#changes);
  }

  async open(): Promise<WriterSession<Transaction>> {
    try {
      return this.#observe(await this.#store.open());
    } catch (error) {
      this.#flushes.unopened += 1;
      throw error;
    } finally {
      this.attempts += 1;
    }
  }

  resolve(block: Block): Promise<Resolution> {
    return this.#store.resolve(block);
  }

  #observe(session: WriterSession<Transaction>): WriterSession<Transaction> {
    return {
      writer: session.writer,
      insert: (block, fences) => this.#insert(session, block, fences),
      staleFences: (fences) => session.staleFences(fences),
      transact: (work) => this.#transact(session, work),
      close: () => session.close(),
    };
  }

  async #insert(session: WriterSession<Transaction>, block: Block, fences: readonly Fence[]): Promise<boolean> {
    const begin = performance.now();
    const span = this.#tracer.isOn ? this.#startFlush(block) : null;
    try {
      const isStored = await session.insert(block, fences);
      this.#flushes[isStored ? 'committed' : 'fenced'] += 1;
      if (isStored) this.#flushEvents.observe(block.lastSequence - block.firstSequence + 1);
      return isStored;
    } catch (error) {
      span?.end(error);
      this.#flushes[error instanceof SessionLostError ? 'lost' : 'refused'] += 1;
      throw error;
    } finally {
      span?.end();
      this.attempts += 1;
      this.#flushSeconds.observe(seconds(begin));
    }
  }

  /** Of many requests, so of a trace of its own; its appends name the same writer and numbers. */
  #startFlush({ writer, firstSequence, lastSequence }: Block) {
    const attributes = { 'kms.writer': writer, 'kms.sequence': lastSequence, 'kms.events': lastSequence - firstSequence + 1 };
    return this.#tracer.start('journal flush', null, attributes);
  }

  async #transact<T>(session: WriterSession<Transaction>, work: TransactionWork<Transaction, T>): Promise<T> {
    try {
      const value = await session.transact(work);
      this.#changes.committed += 1;
      return value;
    } catch (error) {
      this.#changes.failed += 1;
      throw error;
    } finally {
      this.attempts += 1;
    }
  }
}

/** A way to the topic whose messages are counted and whose sending is timed. */
export function observePublisher(publisher: EventPublisher, metrics: Metrics): EventPublisher {
  const publishSeconds = metrics.distribution('kms_relay_publish_seconds', 'How long the broker took to acknowledge a batch', SECONDS);
  const batchEvents = metrics.distribution('kms_relay_batch_events', 'Events that were sent together', EVENTS);
  return {
    async publish(messages) {
      const begin = performance.now();
      await publisher.publish(messages);
      publishSeconds.observe(seconds(begin));
      batchEvents.observe(messages.length);
    },
  };
}

/** Counts the relay's steps; `attempts` is how many have ended at all. */
export class RelaySteps {
  readonly #failures: Record<RelayStep, number> = { adopt: 0, publish: 0, watermark: 0, check: 0 };
  attempts = 0;

  constructor(metrics: Metrics) {
    metrics.counts('kms_relay_failures_total', 'Steps of the relay that failed and are tried again', 'step', this.#failures);
  }

  worked(): void {
    this.attempts += 1;
  }

  failed(step: RelayStep): void {
    this.attempts += 1;
    this.#failures[step] += 1;
  }
}

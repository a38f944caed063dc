import { buildBlock, GENESIS, type Block, type Head, type PlaceEvent, type Placement } from './block.ts';
import { JournalError } from './errors.ts';
import { SessionLostError, type Fence, type JournalStore, type WriterSession } from './store.ts';

export interface JournalLimits {
  /** Most appends that wait; one more is refused as `overloaded`. */
  maxQueued: number;
  /** Most events in one block. */
  maxBlockEvents: number;
  /** Longest time that an append may wait for its flush, in milliseconds; then it is refused as `unavailable`. */
  maxWaitMs: number;
  /** Longest time that a flush under load waits for more appends, in milliseconds. */
  gatherMs: number;
}

export const DEFAULT_LIMITS: JournalLimits = { maxQueued: 20_000, maxBlockEvents: 1_000, maxWaitMs: 1_500, gatherMs: 1 };

/** After a flush of so many events there is load: with fewer callers each would wait for others that may not come. */
const LOAD_FROM = 4;

/** How often waiting appends are looked over for their time limit, and a lost store is tried again, in milliseconds. */
const SWEEP_MS = 100;

export interface JournalOptions<Transaction> {
  store: JournalStore<Transaction>;
  limits?: Partial<JournalLimits>;
  /** Milliseconds on a clock that never goes back. */
  now?: () => number;
  /** Called after each commit with the block that it stored: the relay's cue. */
  onCommitted?: (block: Block) => void;
  /** Told of each failure of the store, once a failure. */
  onFailure?: (error: unknown) => void;
}

interface QueuedAppend {
  kind: 'append';
  place: PlaceEvent;
  fence: Fence | null;
  since: number;
  resolve: (placement: Placement) => void;
  reject: (error: unknown) => void;
}

interface QueuedTransaction<Transaction> {
  kind: 'transaction';
  run: (session: WriterSession<Transaction>) => Promise<void>;
  since: number;
  reject: (error: unknown) => void;
}

type Queued<Transaction> = QueuedAppend | QueuedTransaction<Transaction>;

/** What a transaction's work answers: the events to record with it, in order, and a value for its caller. */
export interface Recorded<T> {
  events: readonly PlaceEvent[];
  value: T;
}

/**
 * A process's way into its journal: numbers and chains events, and commits them in groups.
 *
 * While one flush is under way, arriving appends queue; the next flush writes them all as one block with one commit, then all are
 * answered. One thing is under way at a time, so the numbers have no gaps and the chain follows the order of commits.
 */
export class Journal<Transaction = never> {
  readonly #store: JournalStore<Transaction>;
  readonly #limits: JournalLimits;
  readonly #now: () => number;
  readonly #onCommitted: (block: Block) => void;
  readonly #onFailure: (error: unknown) => void;

  #queue: Queued<Transaction>[] = [];
  #session: WriterSession<Transaction> | null = null;
  #head: Head = { sequence: 0, hash: GENESIS };
  #running: Promise<void> | null = null;
  #scheduled = false;
  /** How many events the last flush held. */
  #lastFlushed = 0;
  /** A flush that waits for so many appends. */
  #gathering: { count: number; end: () => void } | null = null;
  #sweeper: NodeJS.Timeout | null = null;
  #closed = false;

  constructor({ store, limits = {}, now = () => performance.now(), onCommitted, onFailure }: JournalOptions<Transaction>) {
    this.#store = store;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#now = now;
    this.#onCommitted = onCommitted ?? (() => undefined);
    this.#onFailure = onFailure ?? (() => undefined);
  }

  /** Opens the first writer, so that a store that cannot be used shows at start. */
  async open(): Promise<void> {
    this.#session ??= await this.#openSession();
  }

  /** The id of the writer that is open now, or null. */
  get writer(): string | null {
    return this.#session?.writer ?? null;
  }

  /** How many appends and transactions wait. */
  get queued(): number {
    return this.#queue.length;
  }

  /**
   * Records an event. Resolves only after it is durable. With a fence, it is recorded only while the fence holds at the commit.
   * Rejects with {@link JournalError}.
   */
  append(place: PlaceEvent, fence: Fence | null = null): Promise<Placement> {
    return new Promise((resolve, reject) => {
      this.#enqueue({ kind: 'append', place, fence, since: this.#now(), resolve, reject });
    });
  }

  /**
   * Runs `work` and records its events in one transaction, which takes its numbers in the same order as all appends. Resolves with
   * the work's value only after the commit. An error that `work` throws is passed on, with nothing stored; otherwise rejects with
   * {@link JournalError}.
   */
  transact<T>(work: (transaction: Transaction) => Promise<Recorded<T>>): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = async (session: WriterSession<Transaction>) => resolve(await this.#runTransaction(session, work));
      this.#enqueue({ kind: 'transaction', run, since: this.#now(), reject });
    });
  }

  /** Refuses new work, finishes what waits, and ends the writer. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#running !== null || this.#scheduled) await (this.#running ?? new Promise(setImmediate));
    this.#expire(() => true, 'closed');
    await this.#session?.close();
    this.#session = null;
  }

  #enqueue(item: Queued<Transaction>): void {
    if (this.#closed) return item.reject(new JournalError('closed'));
    if (this.#queue.length >= this.#limits.maxQueued) return item.reject(new JournalError('overloaded'));
    this.#queue.push(item);
    if (this.#gathering !== null && this.#queue.length >= this.#gathering.count) this.#gathering.end();
    this.#schedule();
  }

  /** Starts at the end of the event-loop turn, so that all that arrived in it share one flush. */
  #schedule(): void {
    if (this.#scheduled || this.#running !== null) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#running = this.#drain().finally(() => {
        this.#running = null;
        if (this.#queue.length > 0 && !this.#closed) this.#retryLater();
      });
    });
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  /** After a failed flush what is left waits for the next sweep rather than spin. */
  #retryLater(): void {
    setTimeout(() => this.#schedule(), SWEEP_MS);
  }

  #sweep(): void {
    const limit = this.#now() - this.#limits.maxWaitMs;
    this.#expire(({ since }) => since <= limit, 'unavailable');
    if (this.#queue.length > 0 || this.#running !== null || this.#sweeper === null) return;
    clearInterval(this.#sweeper);
    this.#sweeper = null;
  }

  #expire(isOver: (item: Queued<Transaction>) => boolean, code: 'unavailable' | 'closed'): void {
    const over = this.#queue.filter(isOver);
    if (over.length === 0) return;
    this.#queue = this.#queue.filter((item) => !isOver(item));
    for (const item of over) item.reject(new JournalError(code));
  }

  async #drain(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        this.#session ??= await this.#openSession();
        await this.#gather();
        if (this.#queue.length > 0) await this.#next(this.#session);
      }
    } catch (error) {
      this.#onFailure(error);
    }
  }

  /**
   * Under load, waits until as many appends are there as the last flush held, and not for long: those that it has just answered are about to
   * come back, and a flush of many costs hardly more than one of a few.
   */
  async #gather(): Promise<void> {
    const count = this.#lastFlushed;
    if (count < LOAD_FROM || this.#queue.length >= count || this.#queue[0]?.kind === 'transaction' || this.#closed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#limits.gatherMs);
      this.#gathering = { count, end: () => (clearTimeout(timer), resolve()) };
    });
    this.#gathering = null;
  }

  async #openSession(): Promise<WriterSession<Transaction>> {
    const session = await this.#store.open();
    this.#head = { sequence: 0, hash: GENESIS };
    return session;
  }

  async #next(session: WriterSession<Transaction>): Promise<void> {
    const [first] = this.#queue;
    if (first?.kind !== 'transaction') return this.#flush(session, this.#takeAppends());
    this.#queue.shift();
    try {
      await first.run(session);
    } catch (error) {
      first.reject(error);
    }
  }

  #takeAppends(): QueuedAppend[] {
    const limit = Math.min(this.#queue.length, this.#limits.maxBlockEvents);
    let end = 0;
    while (end < limit && this.#queue[end]?.kind === 'append') end += 1;
    return this.#queue.splice(0, end) as QueuedAppend[];
  }

  async #flush(session: WriterSession<Transaction>, items: QueuedAppend[]): Promise<void> {
    const { block, placements } = buildBlock(
      session.writer,
      this.#head,
      items.map(({ place }) => place),
    );
    const fences = distinctFences(items);
    this.#lastFlushed = items.length;
    try {
      if (await session.insert(block, fences)) return this.#confirm(block, items, placements);
      await this.#startOverWithoutStale(session, items, fences);
    } catch (error) {
      await this.#handleFlushFailure(error, block, items, placements);
    }
  }

  #confirm(block: Block, items: readonly QueuedAppend[], placements: readonly Placement[]): void {
    this.#advance(block);
    items.forEach((item, index) => item.resolve(placements[index] as Placement));
  }

  #advance(block: Block): void {
    this.#head = { sequence: block.lastSequence, hash: block.hash };
    this.#onCommitted(block);
  }

  /** Nothing was stored: those whose fence broke are told so, the others go first in the next flush. */
  async #startOverWithoutStale(session: WriterSession<Transaction>, items: QueuedAppend[], fences: readonly Fence[]): Promise<void> {
    const stale = new Set((await session.staleFences(fences)).map(fenceText));
    const isStale = ({ fence }: QueuedAppend) => fence !== null && stale.has(fenceText(fence));
    this.#queue.unshift(...items.filter((item) => !isStale(item)));
    for (const item of items.filter(isStale)) item.reject(new JournalError('fenced'));
  }

  async #handleFlushFailure(error: unknown, block: Block, items: QueuedAppend[], placements: readonly Placement[]): Promise<void> {
    this.#onFailure(error);
    if (!(error instanceof SessionLostError)) return rejectAll(items, new JournalError('unavailable', { cause: error }));

    this.#session = null;
    const resolution = error.inDoubt === null ? 'absent' : await this.#resolve(block);
    if (resolution === 'committed') return this.#confirm(block, items, placements);
    // An absent block can no longer appear, so its events may be recorded under the next writer's numbers.
    if (resolution === 'absent') this.#queue.unshift(...items);
    else rejectAll(items, new JournalError('in-doubt', { cause: error }));
  }

  async #resolve(block: Block) {
    try {
      return await this.#store.resolve(block);
    } catch (error) {
      this.#onFailure(error);
      return 'unknown';
    }
  }

  async #runTransaction<T>(session: WriterSession<Transaction>, work: (transaction: Transaction) => Promise<Recorded<T>>): Promise<T> {
    let made: { block: Block | null; value: T } | null = null;
    try {
      const value = await session.transact(async (transaction) => {
        const { events, value } = await work(transaction);
        made = { value, block: events.length === 0 ? null : buildBlock(session.writer, this.#head, events).block };
        return made;
      });
      if (made !== null) this.#advanceIfRecorded(made);
      return value;
    } catch (error) {
      if (!(error instanceof SessionLostError)) throw error;
      return this.#settleLostTransaction(error, made);
    }
  }

  #advanceIfRecorded({ block }: { block: Block | null }): void {
    if (block !== null) this.#advance(block);
  }

  async #settleLostTransaction<T>(error: SessionLostError, made: { block: Block | null; value: T } | null): Promise<T> {
    this.#onFailure(error);
    this.#session = null;
    if (error.inDoubt === null || made === null) throw new JournalError('unavailable', { cause: error });
    const resolution = await this.#resolve(error.inDoubt);
    if (resolution !== 'committed') throw new JournalError(resolution === 'absent' ? 'unavailable' : 'in-doubt', { cause: error });
    this.#advance(error.inDoubt);
    return made.value;
  }
}

const fenceText = ({ key, revision }: Fence) => `${key}@${revision}`;

function distinctFences(items: readonly QueuedAppend[]): Fence[] {
  const distinct = new Map<string, Fence>();
  for (const { fence } of items) if (fence !== null) distinct.set(fenceText(fence), fence);
  return [...distinct.values()];
}

function rejectAll(items: readonly QueuedAppend[], error: JournalError): void {
  for (const item of items) item.reject(error);
}

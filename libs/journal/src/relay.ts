import { createHash } from 'node:crypto';
import { splitBlock, type Block } from './block.ts';
import { RecentBlocks } from './recent-blocks.ts';

/** One message for the topic. `value` is an event's exact bytes. */
export interface Message {
  key: string;
  value: Buffer;
  /** The trace that it belongs to, where one is followed (W3C Trace Context). */
  traceparent?: string;
}

/** Sends to the topic. Resolves only when the broker has acknowledged every message; after an error any of them may have arrived. */
export interface EventPublisher {
  publish(messages: readonly Message[]): Promise<void>;
}

/** Asks the ledger what it holds of writers' events. */
export interface LedgerWatermarks {
  /** How far it holds each writer's events without a gap, starting from what it said before. */
  watermarks(writers: readonly { writer: string; from: number }[]): Promise<readonly { writer: string; sequence: number }[]>;
  /**
   * Which of a writer's events, by the SHA-256 of their bytes (lower-case hexadecimal), it could not understand and has put aside with their
   * bytes: their numbers. They count as held from then on.
   */
  settleParked(writer: string, events: readonly { sequence: number; sha256: string }[]): Promise<readonly number[]>;
}

export interface StoredBlock extends Pick<Block, 'firstSequence' | 'lastSequence' | 'events'> {
  readonly writer: string;
}

export interface OrphanedWriter {
  writer: string;
  /** Up to where the ledger was known to hold its events. */
  acknowledged: number;
  /** Its last sequence number, 0 where it has no events. */
  last: number;
}

/** A writer whose events the ledger was said to hold, all of them. */
export interface ClosedWriter {
  writer: string;
  /** Its place among the writers: a later one has a higher. */
  place: number;
  /** Its last sequence number, 0 where it has no events. */
  last: number;
}

/** What a relay reads and notes down in the journal's database. */
export interface RelayStore {
  /** The writer's blocks that end after `sequence`, in order, as many as fit in about `maxBytes` but at least one. */
  readBlocks(writer: string, sequence: number, maxBytes: number): Promise<readonly StoredBlock[]>;
  /** Notes the watermark, so that a later process need not begin at 0. */
  acknowledge(writer: string, sequence: number): Promise<void>;
  /** Takes over writers whose lock is free and that are not closed; each is answered once for as long as this process holds it. */
  adoptOrphans(): Promise<readonly OrphanedWriter[]>;
  /** Notes that the ledger holds all of a writer's events: nobody needs to look at it again. */
  closeWriter(writer: string): Promise<void>;
  /** Closed writers, the latest first, of those below a place (`null`: of all), as many as are looked at together. */
  readClosed(below: number | null): Promise<readonly ClosedWriter[]>;
  /** Takes over a closed writer, where no other process has it, until {@link closeWriter}; answers whether it did. */
  reopen(writer: string): Promise<boolean>;
  close(): Promise<void>;
}

/** What a relay does in turn: adopt orphaned writers, send events, ask the ledger how far it is, and whether it still has what it had. */
export type RelayStep = 'adopt' | 'publish' | 'watermark' | 'check';

export interface RelayOptions {
  store: RelayStore;
  publisher: EventPublisher;
  ledger: LedgerWatermarks;
  /** The key of an event's message. */
  keyOf: (event: Buffer) => string;
  /** Milliseconds on a clock that never goes back. */
  now?: () => number;
  onFailure?: (step: RelayStep, error: unknown) => void;
  /** Told of each step that went well, many times a second: it must be cheap. */
  onSuccess?: (step: RelayStep) => void;
  timing?: Partial<RelayTiming>;
}

/** All in milliseconds. */
export interface RelayTiming {
  /** How long events gather before they are sent together, unless there is a whole batch of them. */
  gatherFor: number;
  /** How often the ledger is asked while something is sent and not yet held by it. */
  watermarkEvery: number;
  /** How long the ledger's watermark may stand still, with events sent beyond it, before they are sent again. */
  resendAfter: number;
  /** How often orphaned writers are looked for. */
  adoptEvery: number;
  /** How often some of what the ledger has said to hold is looked at again; at the start all of it is, without a pause. */
  checkEvery: number;
  /** The pause after a failed step. */
  retryAfter: number;
}

export const DEFAULT_TIMING: RelayTiming = {
  gatherFor: 50,
  watermarkEvery: 250,
  resendAfter: 10_000,
  adoptEvery: 5_000,
  checkEvery: 30_000,
  retryAfter: 500,
};

/** Small enough that making a batch ready does not hold up the process for long, large enough that its fixed costs are spread. */
const MAX_BATCH_BYTES = 512 * 1024;
/** From this many bytes on a batch was probably cut off by its limit: there are more events, and nothing is gained by waiting. */
const FULL_BATCH_BYTES = MAX_BATCH_BYTES * 0.75;
/**
 * Most events sent and not yet known to be in the ledger: beyond it the relay waits for the ledger. It begins small and doubles as the
 * ledger follows; when the ledger stands still it begins anew, so that what is sent again never drowns in itself (TCP's slow start,
 * RFC 5681, for the same reason).
 */
const FIRST_WINDOW = 1_000;
const LARGEST_WINDOW = 50_000;

/** How far one writer's events have come: up to where they were sent, and up to where the ledger is known to hold them. */
export interface Standing {
  readonly writer: string;
  readonly sent: number;
  readonly acknowledged: number;
  /** The writer's last number where it is known to be final, else null: the writer is still open. */
  readonly last: number | null;
}

/** A standing that moves on. */
interface Tail extends Standing {
  sent: number;
  acknowledged: number;
  /** Most events that may be sent beyond the watermark now. */
  window: number;
  /** When the watermark moved last, or when something was first sent beyond it. */
  movedAt: number;
}

/**
 * Sends a journal's events to the topic, each writer's in order, until the ledger says that it holds them. A broker's
 * acknowledgement is not enough: what the ledger does not get within {@link RelayTiming.resendAfter} is sent again from its
 * watermark, and the ledger drops what it has. So a broker that loses messages costs time and no event.
 */
export class Relay {
  readonly #options: Required<Omit<RelayOptions, 'timing'>>;
  readonly #timing: RelayTiming;
  readonly #tails = new Map<string, Tail>();

  #own: { writer: string; recent: RecentBlocks } | null = null;
  #loop: Promise<void> | null = null;
  #stopping = false;
  #wakeUp: (() => void) | null = null;
  #woken = false;
  #hasMore = false;
  #nextWatermark = 0;
  #nextAdoption = 0;
  #nextCheck = 0;
  /** Below this place the closed writers are still to be looked at in this turn; `null`: a turn begins. */
  #checkedTo: number | null = null;
  #isFirstTurn = true;

  constructor({ timing, ...options }: RelayOptions) {
    this.#options = { now: () => performance.now(), onFailure: () => undefined, onSuccess: () => undefined, ...options };
    this.#timing = { ...DEFAULT_TIMING, ...timing };
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** The journal's cue: a writer that belongs to this process has committed a block. */
  committed(block: StoredBlock): void {
    if (this.#own?.writer !== block.writer) this.#own = this.#beginWriter(block.writer);
    this.#own.recent.add(block);
    this.#wake();
  }

  #beginWriter(writer: string): { writer: string; recent: RecentBlocks } {
    // The former writer's connection is gone, so its lock is free: it comes back as an orphan, with its end known.
    if (this.#own !== null) this.#tails.delete(this.#own.writer);
    this.#tails.set(writer, { writer, sent: 0, acknowledged: 0, window: FIRST_WINDOW, last: null, movedAt: this.#options.now() });
    return { writer, recent: new RecentBlocks() };
  }

  /** The number of events that were sent and that the ledger is not known to hold. */
  get unacknowledged(): number {
    return [...this.#tails.values()].reduce((sum, { sent, acknowledged }) => sum + sent - acknowledged, 0);
  }

  /** How far each writer has come that this relay sends for. */
  get standings(): readonly Standing[] {
    return [...this.#tails.values()];
  }

  /** Ends after the step that is under way; what is unsent is adopted by the next process. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake();
    await this.#loop;
    await this.#options.store.close();
  }

  #wake(): void {
    this.#woken = true;
    this.#wakeUp?.();
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#woken = false;
      const sound = await this.#step();
      if (this.#hasMore && sound) continue;
      await this.#sleep(sound ? this.#timing.gatherFor : this.#timing.retryAfter, false);
      if (!this.#woken) await this.#sleep(this.#untilNextTurn(), true);
    }
  }

  /** One round over all writers. Answers false where a step failed, so that the next round waits. */
  async #step(): Promise<boolean> {
    const adopted = await this.#attempt('adopt', () => this.#adopt());
    const published = await this.#attempt('publish', () => this.#publishAll());
    const asked = await this.#attempt('watermark', () => this.#askLedger());
    const checked = await this.#attempt('check', () => this.#check());
    return adopted && published && asked && checked;
  }

  async #attempt(step: RelayStep, action: () => Promise<void>): Promise<boolean> {
    try {
      await action();
      this.#options.onSuccess(step);
      return true;
    } catch (error) {
      this.#options.onFailure(step, error);
      return false;
    }
  }

  async #adopt(): Promise<void> {
    const now = this.#options.now();
    if (now < this.#nextAdoption) return;
    for (const { writer, acknowledged, last } of await this.#options.store.adoptOrphans()) {
      this.#tails.set(writer, { writer, sent: acknowledged, acknowledged, window: FIRST_WINDOW, last, movedAt: now });
      await this.#closeIfDone(writer);
    }
    this.#nextAdoption = now + this.#timing.adoptEvery;
  }

  /** One batch a writer and round, so that neither another writer nor the ledger waits for one that has much to send. */
  async #publishAll(): Promise<void> {
    this.#hasMore = false;
    for (const tail of this.#tails.values()) {
      if (await this.#publishNext(tail)) this.#hasMore = true;
    }
  }

  /** Sends the tail's next blocks. Answers whether they filled a batch. */
  async #publishNext(tail: Tail): Promise<boolean> {
    const { publisher, keyOf, now } = this.#options;
    if (tail.sent === tail.last || tail.sent - tail.acknowledged >= tail.window) return false;
    const blocks = await this.#nextBlocks(tail);
    const lastBlock = blocks.at(-1);
    if (lastBlock === undefined) return false;

    const values = blocks.flatMap((block) => splitBlock(block).slice(Math.max(0, tail.sent + 1 - block.firstSequence)));
    await publisher.publish(values.map((value) => ({ key: keyOf(value), value })));
    if (tail.sent === tail.acknowledged) tail.movedAt = now();
    tail.sent = lastBlock.lastSequence;
    return blocks.reduce((bytes, { events }) => bytes + events.length, 0) >= FULL_BATCH_BYTES;
  }

  #nextBlocks({ writer, sent }: Tail): readonly StoredBlock[] | Promise<readonly StoredBlock[]> {
    const recent = this.#own?.writer === writer ? this.#own.recent.after(sent, MAX_BATCH_BYTES) : null;
    return recent ?? this.#options.store.readBlocks(writer, sent, MAX_BATCH_BYTES);
  }

  async #askLedger(): Promise<void> {
    const { ledger, now } = this.#options;
    const waiting = [...this.#tails.values()].filter(({ sent, acknowledged }) => sent > acknowledged);
    if (waiting.length === 0 || now() < this.#nextWatermark) return;
    this.#nextWatermark = now() + this.#timing.watermarkEvery;
    const answers = await ledger.watermarks(waiting.map(({ writer, acknowledged }) => ({ writer, from: acknowledged })));
    for (const { writer, sequence } of answers) await this.#noteWatermark(writer, sequence);
    for (const tail of waiting) await this.#resendIfStalled(tail);
  }

  async #noteWatermark(writer: string, sequence: number): Promise<void> {
    const tail = this.#tails.get(writer);
    if (tail === undefined || sequence <= tail.acknowledged) return;
    tail.acknowledged = sequence;
    tail.window = Math.min(tail.window * 2, LARGEST_WINDOW);
    tail.sent = Math.max(tail.sent, sequence);
    tail.movedAt = this.#options.now();
    await this.#options.store.acknowledge(writer, sequence);
    await this.#closeIfDone(writer);
  }

  async #resendIfStalled(tail: Tail): Promise<void> {
    if (tail.sent === tail.acknowledged || this.#options.now() - tail.movedAt < this.#timing.resendAfter) return;
    tail.movedAt = this.#options.now();
    this.#woken = true;
    try {
      if (await this.#isNextParked(tail)) this.#nextWatermark = 0;
      else resend(tail);
    } catch (error) {
      resend(tail);
      throw error;
    }
  }

  /** Whether the event that the watermark stands before has come and could not be understood: to send it again would change nothing. */
  async #isNextParked({ writer, acknowledged, sent }: Tail): Promise<boolean> {
    const blocks = await this.#options.store.readBlocks(writer, acknowledged, MAX_BATCH_BYTES);
    const events = blocks
      .flatMap((block) => splitBlock(block).map((bytes, index) => ({ sequence: block.firstSequence + index, bytes })))
      .filter(({ sequence }) => sequence > acknowledged && sequence <= sent)
      .slice(0, FIRST_WINDOW);
    const hashed = events.map(({ sequence, bytes }) => ({ sequence, sha256: createHash('sha256').update(bytes).digest('hex') }));
    return (await this.#options.ledger.settleParked(writer, hashed)).includes(acknowledged + 1);
  }

  async #closeIfDone(writer: string): Promise<void> {
    const tail = this.#tails.get(writer);
    if (tail === undefined || tail.last === null || tail.acknowledged < tail.last) return;
    await this.#options.store.closeWriter(writer);
    this.#tails.delete(writer);
  }

  /**
   * Looks whether the ledger still holds what it has said to hold: not after its database was restored to an earlier state. What it has not
   * is sent again, of writers that are closed too. Some closed writers at a time, the latest first, and then from the latest again.
   */
  async #check(): Promise<void> {
    const { store, now } = this.#options;
    if (now() < this.#nextCheck) return;
    this.#nextCheck = now() + this.#timing.adoptEvery;
    const open = [...this.#tails.values()].map(({ writer, acknowledged }) => ({ writer, upTo: acknowledged }));
    const read = await store.readClosed(this.#checkedTo);
    const closed = read.filter(({ writer }) => !this.#tails.has(writer)).map(({ writer, last }) => ({ writer, upTo: last }));
    const missing = await this.#findMissing([...open, ...closed].filter(({ upTo }) => upTo > 0));
    for (const { writer, upTo, held } of missing) await this.#goBack(writer, upTo, held);
    this.#checkedTo = read.at(-1)?.place ?? null;
    if (read.length === 0) this.#isFirstTurn = false;
    this.#nextCheck = now() + (this.#isFirstTurn ? 0 : this.#timing.checkEvery);
  }

  /** Those of the writers of which the ledger does not hold all events up to that number, with the number up to which it does. */
  async #findMissing(
    claims: readonly { writer: string; upTo: number }[],
  ): Promise<readonly { writer: string; upTo: number; held: number }[]> {
    const missing: { writer: string; upTo: number; held: number }[] = [];
    // The ledger may look at a part of a long run only: it is asked on for as long as it comes further.
    for (let asked = claims.map((claim) => ({ ...claim, held: 0 })); asked.length > 0;) {
      const answers = await this.#options.ledger.watermarks(asked.map(({ writer, held }) => ({ writer, from: held })));
      const reached = new Map(answers.map(({ writer, sequence }) => [writer, sequence]));
      const next = asked.map((claim) => ({ ...claim, held: reached.get(claim.writer) ?? claim.held, before: claim.held }));
      const short = next.filter(({ held, upTo }) => held < upTo);
      missing.push(...short.filter(({ held, before }) => held === before));
      asked = short.filter(({ held, before }) => held > before);
    }
    return missing;
  }

  async #goBack(writer: string, upTo: number, held: number): Promise<void> {
    const tail = this.#tails.get(writer);
    const rewound = { sent: held, acknowledged: held, window: FIRST_WINDOW, movedAt: this.#options.now() };
    if (tail !== undefined) Object.assign(tail, rewound);
    else if (await this.#options.store.reopen(writer)) this.#tails.set(writer, { writer, last: upTo, ...rewound });
    this.#woken = true;
  }

  #untilNextTurn(): number {
    const next = Math.min(this.unacknowledged > 0 ? this.#nextWatermark : Infinity, this.#nextAdoption, this.#nextCheck);
    return Math.max(0, next - this.#options.now());
  }

  #sleep(milliseconds: number, wakeable: boolean): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#wakeUp = null;
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      this.#wakeUp = () => {
        if (wakeable || this.#stopping) done();
      };
    });
  }
}

function resend(tail: Tail): void {
  tail.sent = tail.acknowledged;
  tail.window = FIRST_WINDOW;
}

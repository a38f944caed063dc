import {
  SessionLostError,
  type Block,
  type ClosedWriter,
  type Fence,
  type JournalStore,
  type OrphanedWriter,
  type RelayStore,
  type Resolution,
  type StoredBlock,
  type WriterSession,
} from '@kms/journal';

/** What may become of a commit: refused with an error, or the connection lost before or after it took effect. */
export type CommitFault = 'refused' | 'lost-before' | 'lost-after';

/** A transaction's changes, which nobody else sees before its commit. */
export interface MemoryTransaction {
  /** New revisions of the things that fences name. */
  revisions: Map<string, number>;
  /** A statement failed and its error was swallowed: the commit does not succeed. */
  hasFailed: boolean;
}

interface MemoryWriter {
  acknowledged: number;
  isClosed: boolean;
  /** Who has the writer's lock: a session, a relay, or nobody. */
  holder: object | null;
}

/** A journal's database in memory, with the faults that tests ask for. It is what the two stores beside it work on. */
export class MemoryJournal {
  readonly blocks: Block[] = [];
  readonly revisions = new Map<string, number>();
  readonly writers = new Map<string, MemoryWriter>();
  /** What becomes of the next commit; then it is null again. */
  nextCommit: CommitFault | null = null;
  /** While true nothing can be reached, and nothing that is in doubt can be resolved. */
  isAway = false;

  /** Answers what is to become of a commit now. */
  takeFault(): CommitFault | null {
    const fault = this.nextCommit;
    this.nextCommit = null;
    return fault;
  }

  holds({ key, revision }: Fence): boolean {
    return this.revisions.get(key) === revision;
  }

  blocksOf(writer: string): Block[] {
    return this.blocks.filter((block) => block.writer === writer);
  }

  /** Breaks every connection, as a crash of the server would. */
  severAll(): void {
    for (const writer of this.writers.values()) writer.holder = null;
  }
}

/** {@link JournalStore} in memory. */
export class MemoryJournalStore implements JournalStore<MemoryTransaction> {
  constructor(readonly journal: MemoryJournal) {}

  async open(): Promise<WriterSession<MemoryTransaction>> {
    if (this.journal.isAway) throw new Error('The store is away.');
    return new MemoryWriterSession(this.journal);
  }

  async resolve({ writer, firstSequence, hash }: Block): Promise<Resolution> {
    if (this.journal.isAway || this.journal.writers.get(writer)?.holder !== null) return 'unknown';
    const found = this.journal.blocksOf(writer).find((block) => block.firstSequence === firstSequence);
    return found?.hash.equals(hash) ? 'committed' : 'absent';
  }
}

class MemoryWriterSession implements WriterSession<MemoryTransaction> {
  readonly writer: string;
  readonly #journal: MemoryJournal;

  constructor(journal: MemoryJournal) {
    this.#journal = journal;
    this.writer = `writer-${journal.writers.size + 1}`;
    journal.writers.set(this.writer, { acknowledged: 0, isClosed: false, holder: this });
  }

  async insert(block: Block, fences: readonly Fence[]): Promise<boolean> {
    this.#assertConnected(null);
    if (!fences.every((fence) => this.#journal.holds(fence))) return false;
    this.#commit(block, new Map());
    return true;
  }

  async staleFences(fences: readonly Fence[]): Promise<readonly Fence[]> {
    this.#assertConnected(null);
    return fences.filter((fence) => !this.#journal.holds(fence));
  }

  async transact<T>(work: (transaction: MemoryTransaction) => Promise<{ block: Block | null; value: T }>): Promise<T> {
    this.#assertConnected(null);
    const transaction: MemoryTransaction = { revisions: new Map(), hasFailed: false };
    const { block, value } = await work(transaction);
    this.#assertConnected(null);
    if (transaction.hasFailed) throw new Error('The commit was answered with a rollback.');
    this.#commit(block, transaction.revisions);
    return value;
  }

  async close(): Promise<void> {
    this.#release();
  }

  #commit(block: Block | null, revisions: ReadonlyMap<string, number>): void {
    const fault = this.#journal.takeFault();
    if (fault === 'refused') throw new Error('The store refused.');
    if (fault === 'lost-before') this.#lose(block);
    if (block !== null) this.#store(block);
    for (const [key, revision] of revisions) this.#journal.revisions.set(key, revision);
    if (fault === 'lost-after') this.#lose(block);
  }

  #store(block: Block): void {
    const isTaken = this.#journal.blocksOf(block.writer).some(({ firstSequence }) => firstSequence === block.firstSequence);
    if (isTaken) throw new Error('The number is taken.');
    this.#journal.blocks.push(block);
  }

  #lose(inDoubt: Block | null): never {
    this.#release();
    throw new SessionLostError(inDoubt);
  }

  #assertConnected(inDoubt: Block | null): void {
    if (this.#journal.writers.get(this.writer)?.holder !== this) throw new SessionLostError(inDoubt);
  }

  #release(): void {
    const writer = this.#journal.writers.get(this.writer);
    if (writer?.holder === this) writer.holder = null;
  }
}

/** {@link RelayStore} in memory; each object is a process of its own. */
export class MemoryRelayStore implements RelayStore {
  constructor(readonly journal: MemoryJournal) {}

  async readBlocks(writer: string, sequence: number, maxBytes: number): Promise<readonly StoredBlock[]> {
    const read: StoredBlock[] = [];
    let bytes = 0;
    for (const block of this.journal.blocksOf(writer).filter(({ lastSequence }) => lastSequence > sequence)) {
      if (read.length > 0 && bytes >= maxBytes) break;
      bytes += block.events.length;
      read.push(block);
    }
    return read;
  }

  async acknowledge(writer: string, sequence: number): Promise<void> {
    const held = this.#writer(writer);
    held.acknowledged = Math.max(held.acknowledged, sequence);
  }

  async adoptOrphans(): Promise<readonly OrphanedWriter[]> {
    const orphans = [...this.journal.writers].filter(([, { isClosed, holder }]) => !isClosed && holder === null);
    return orphans.map(([writer, held]) => {
      held.holder = this;
      return { writer, acknowledged: held.acknowledged, last: this.journal.blocksOf(writer).at(-1)?.lastSequence ?? 0 };
    });
  }

  async closeWriter(writer: string): Promise<void> {
    const held = this.#writer(writer);
    held.isClosed = true;
    held.holder = null;
  }

  async readClosed(below: number | null): Promise<readonly ClosedWriter[]> {
    const writers = [...this.journal.writers].map(([writer, { isClosed }], place) => ({ writer, isClosed, place }));
    return writers
      .filter(({ isClosed, place }) => isClosed && (below === null || place < below))
      .reverse()
      .map(({ writer, place }) => ({ writer, place, last: this.journal.blocksOf(writer).at(-1)?.lastSequence ?? 0 }));
  }

  async reopen(writer: string): Promise<boolean> {
    const held = this.#writer(writer);
    if (held.holder !== null) return false;
    held.holder = this;
    return true;
  }

  async close(): Promise<void> {
    for (const writer of this.journal.writers.values()) if (writer.holder === this) writer.holder = null;
  }

  #writer(id: string): MemoryWriter {
    const writer = this.journal.writers.get(id);
    if (writer === undefined) throw new Error('There is no such writer.');
    return writer;
  }
}

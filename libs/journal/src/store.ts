import type { Block } from './block.ts';

/** What an event was decided on: the block that holds it is stored only while the thing `key` still has this revision. */
export interface Fence {
  key: string;
  revision: number;
}

/** What becomes of a block whose commit got no answer. */
export type Resolution = 'committed' | 'absent' | 'unknown';

/**
 * Where a service's journal is kept.
 *
 * A session is one writer and one connection at once: the connection that appends is the one that holds the writer's lock. So a
 * writer that lost its lock cannot append, and a lock that can be taken proves that nothing of the writer is still under way.
 */
export interface JournalStore<Transaction> {
  /** Opens a new writer, whose numbers start at 1. */
  open(): Promise<WriterSession<Transaction>>;

  /**
   * Says what became of a block of a session that was lost. MUST answer `absent` only when the block can no longer appear, and
   * `committed` only when the stored block is this one. Answers `unknown` when neither can be known within a second.
   */
  resolve(block: Block): Promise<Resolution>;
}

/** A writer's connection. One call at a time. */
export interface WriterSession<Transaction> {
  readonly writer: string;

  /**
   * Stores a block in one statement that commits on its own. Answers false, with nothing stored, when a fence does not hold.
   * MUST NOT answer true before the block is durable. Throws {@link SessionLostError} when the connection is lost; any other error
   * means that the statement was refused and nothing was stored.
   */
  insert(block: Block, fences: readonly Fence[]): Promise<boolean>;

  /** Those of the fences that do not hold now. */
  staleFences(fences: readonly Fence[]): Promise<readonly Fence[]>;

  /**
   * Runs `work` in a transaction, stores the block that it made in it (none where it is null) and commits. MUST check that the
   * server says that it committed. An error of `work` rolls back and is thrown on as it is.
   */
  transact<T>(work: (transaction: Transaction) => Promise<{ block: Block | null; value: T }>): Promise<T>;

  /** Ends the connection, and with it the lock. */
  close(): Promise<void>;
}

/** The connection is gone. `inDoubt` is the block whose commit was sent and got no answer; without it nothing was stored. */
export class SessionLostError extends Error {
  override readonly name = 'SessionLostError';

  constructor(
    readonly inDoubt: Block | null,
    options?: ErrorOptions,
  ) {
    super('The connection to the journal was lost.', options);
  }
}

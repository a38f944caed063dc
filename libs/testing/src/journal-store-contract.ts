import { beforeEach, describe, expect, it } from '@jest/globals';
import { buildBlock, GENESIS, SessionLostError, type Block, type Head, type JournalStore } from '@kms/journal';

/** What the suite needs of a store: an empty journal, and a thing with the key `entry` that has revision 1. */
export interface JournalStoreSubject<Transaction> {
  store: JournalStore<Transaction>;
  /** Every stored block, in the order of writers and numbers. */
  stored(): Promise<readonly Block[]>;
  /** The stored revision of the thing. */
  revision(): Promise<number>;
  /** Changes the revision in a transaction. */
  setRevision(transaction: Transaction, revision: number): Promise<void>;
  /** Makes a statement of a transaction fail and swallows its error. */
  failQuietly(transaction: Transaction): Promise<void>;
  /** Breaks every connection to the store. */
  severAll(): Promise<void>;
}

const START: Head = { sequence: 0, hash: GENESIS };
const CURRENT = { key: 'entry', revision: 1 };
const STALE = { key: 'entry', revision: 2 };
const UNKNOWN = { key: 'nobody', revision: 1 };

/** Events at a writer's place after `head`, as one block. */
export function blockOf(writer: string, texts: readonly string[], head: Head = START): Block {
  return buildBlock(
    writer,
    head,
    texts.map((text) => () => text),
  ).block;
}

const headAfter = ({ lastSequence, hash }: Block): Head => ({ sequence: lastSequence, hash });

/** What every {@link JournalStore} must do, as its doc comments say it. */
export function journalStoreContract<Transaction>(name: string, setUp: () => Promise<JournalStoreSubject<Transaction>>): void {
  let subject: JournalStoreSubject<Transaction>;
  beforeEach(async () => {
    subject = await setUp();
  });

  describe(`${name} as a journal store`, () => {
    it('opens a writer of its own for each session, and stores exactly what it is given', async () => {
      const [one, other] = [await subject.store.open(), await subject.store.open()];
      expect(one.writer).not.toBe(other.writer);
      const first = blockOf(one.writer, ['a', 'b']);
      const blocks = [first, blockOf(one.writer, ['c'], headAfter(first)), blockOf(other.writer, ['d'])];
      expect(await one.insert(blocks[0] as Block, [])).toBe(true);
      expect(await one.insert(blocks[1] as Block, [])).toBe(true);
      expect(await other.insert(blocks[2] as Block, [])).toBe(true);
      expect(await subject.stored()).toEqual(blocks);
      await Promise.all([one.close(), other.close()]);
    });

    it('stores a block only while all of its fences hold, and names those that do not', async () => {
      const session = await subject.store.open();
      const block = blockOf(session.writer, ['a']);
      expect(await session.insert(block, [CURRENT, STALE])).toBe(false);
      expect(await session.insert(block, [UNKNOWN])).toBe(false);
      expect(await session.staleFences([CURRENT, STALE, UNKNOWN])).toEqual([STALE, UNKNOWN]);
      expect(await subject.stored()).toEqual([]);
      expect(await session.insert(block, [CURRENT])).toBe(true);
      await session.close();
    });

    it('refuses a number that is taken, and goes on', async () => {
      const session = await subject.store.open();
      const first = blockOf(session.writer, ['a']);
      await session.insert(first, []);
      const failure: unknown = await session.insert(blockOf(session.writer, ['other']), []).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(Error);
      expect(failure).not.toBeInstanceOf(SessionLostError);
      const second = blockOf(session.writer, ['b'], headAfter(first));
      expect(await session.insert(second, [])).toBe(true);
      expect(await subject.stored()).toEqual([first, second]);
      await session.close();
    });

    it('commits a transaction’s changes with its block, or without one', async () => {
      const session = await subject.store.open();
      const block = blockOf(session.writer, ['a']);
      const change = (revision: number, made: Block | null) =>
        session.transact(async (transaction) => {
          await subject.setRevision(transaction, revision);
          return { block: made, value: revision };
        });
      expect(await change(2, block)).toBe(2);
      expect([await subject.revision(), await subject.stored()]).toEqual([2, [block]]);
      expect(await change(3, null)).toBe(3);
      expect([await subject.revision(), await subject.stored()]).toEqual([3, [block]]);
      await session.close();
    });

    it('undoes a transaction whose work throws, throws that error on as it is, and goes on', async () => {
      const session = await subject.store.open();
      const refusal = new Error('refused');
      const work = session.transact(async (transaction) => {
        await subject.setRevision(transaction, 2);
        throw refusal;
      });
      expect(await work.catch((error: unknown) => error)).toBe(refusal);
      expect([await subject.revision(), await subject.stored()]).toEqual([1, []]);
      expect(await session.insert(blockOf(session.writer, ['a']), [])).toBe(true);
      await session.close();
    });

    it('does not answer for a transaction that was rolled back at its commit', async () => {
      const session = await subject.store.open();
      const work = session.transact(async (transaction) => {
        await subject.setRevision(transaction, 2);
        await subject.failQuietly(transaction);
        return { block: null, value: 'changed' };
      });
      await expect(work).rejects.toThrow(/commit/i);
      expect(await subject.revision()).toBe(1);
      await session.close();
    });

    it('says that a session is lost, and that its block can no longer appear', async () => {
      const session = await subject.store.open();
      const block = blockOf(session.writer, ['a']);
      await subject.severAll();
      await expect(session.insert(block, [])).rejects.toBeInstanceOf(SessionLostError);
      await expect(session.insert(block, [])).rejects.toBeInstanceOf(SessionLostError);
      expect(await subject.store.resolve(block)).toBe('absent');
      expect(await subject.stored()).toEqual([]);
      await session.close();
    });

    it('says that a session is lost in the middle of a transaction, with nothing in doubt', async () => {
      const session = await subject.store.open();
      const block = blockOf(session.writer, ['a']);
      const work = session.transact(async (transaction) => {
        await subject.setRevision(transaction, 2);
        await subject.severAll();
        return { block, value: 'changed' };
      });
      const failure: unknown = await work.catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(SessionLostError);
      expect(failure).toMatchObject({ inDoubt: null });
      expect([await subject.revision(), await subject.stored()]).toEqual([1, []]);
    });

    it('tells a block that is there from another one and from none, once its session is over', async () => {
      const session = await subject.store.open();
      const block = blockOf(session.writer, ['a']);
      await session.insert(block, []);
      expect(await subject.store.resolve(block)).toBe('unknown');
      await session.close();
      expect(await subject.store.resolve(block)).toBe('committed');
      expect(await subject.store.resolve(blockOf(session.writer, ['other']))).toBe('absent');
      expect(await subject.store.resolve(blockOf(session.writer, ['b'], headAfter(block)))).toBe('absent');
    });
  });
}

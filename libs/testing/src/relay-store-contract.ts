import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Block, JournalStore, OrphanedWriter, RelayStore } from '@kms/journal';
import { blockOf } from './journal-store-contract.ts';
import { waitFor } from './wait-for.ts';

/** What the suite needs: an empty journal, and relays' views of it. */
export interface RelayStoreSubject {
  journal: JournalStore<unknown>;
  /** The store of another process each time. */
  open(): RelayStore;
}

/** What every {@link RelayStore} must do, as its doc comments say it. */
export function relayStoreContract(name: string, setUp: () => Promise<RelayStoreSubject>): void {
  let subject: RelayStoreSubject;
  let one: RelayStore;
  let other: RelayStore;
  beforeEach(async () => {
    subject = await setUp();
    [one, other] = [subject.open(), subject.open()];
  });

  const closeBoth = () => Promise.all([one.close(), other.close()]);
  /** A connection's locks are free a moment after it ended. */
  const adopt = (store: RelayStore): Promise<OrphanedWriter> =>
    waitFor('the writer to be adopted', async () => (await store.adoptOrphans())[0]);

  /** Three blocks of one writer, with the numbers 1 to 2, 3, and 4 to 6. */
  async function write() {
    const session = await subject.journal.open();
    const blocks: Block[] = [];
    for (const texts of [['1', '2'], ['3'], ['4', '5', '6']]) {
      const last = blocks.at(-1);
      blocks.push(blockOf(session.writer, texts, last && { sequence: last.lastSequence, hash: last.hash }));
      await session.insert(blocks.at(-1) as Block, []);
    }
    return { session, writer: session.writer, blocks };
  }

  describe(`${name} as a relay store`, () => {
    it('reads a writer’s blocks that end after a number, in order, and at least one', async () => {
      const { session, writer, blocks } = await write();
      const firsts = async (sequence: number, maxBytes: number) =>
        (await one.readBlocks(writer, sequence, maxBytes)).map(({ firstSequence }) => firstSequence);
      expect(await firsts(0, 1_000)).toEqual([1, 3, 4]);
      expect(await firsts(2, 1_000)).toEqual([3, 4]);
      expect(await firsts(4, 1_000)).toEqual([4]);
      expect(await firsts(6, 1_000)).toEqual([]);
      expect(await firsts(0, 1)).toEqual([1]);
      expect((await one.readBlocks(writer, 3, 1))[0]?.events).toEqual(blocks[2]?.events);
      await session.close();
      await closeBoth();
    });

    it('hands an orphaned writer to one process only, for as long as that one lives', async () => {
      const { session, writer } = await write();
      expect(await one.adoptOrphans()).toEqual([]);
      await session.close();
      expect(await adopt(one)).toEqual({ writer, acknowledged: 0, last: 6 });
      expect([await one.adoptOrphans(), await other.adoptOrphans()]).toEqual([[], []]);
      await one.close();
      expect((await adopt(other)).writer).toBe(writer);
      await other.close();
    });

    it('remembers how far the ledger has come, and never goes back', async () => {
      const { session, writer } = await write();
      await one.acknowledge(writer, 3);
      await one.acknowledge(writer, 2);
      await session.close();
      expect(await adopt(other)).toEqual({ writer, acknowledged: 3, last: 6 });
      await closeBoth();
    });

    it('offers a closed writer to nobody', async () => {
      const { session, writer } = await write();
      await session.close();
      await adopt(one);
      await one.closeWriter(writer);
      expect([await one.adoptOrphans(), await other.adoptOrphans()]).toEqual([[], []]);
      await closeBoth();
    });

    it('reads closed writers, the latest first, and lets one process take one again', async () => {
      const written = [await write(), await write(), await write()];
      for (const { session } of written.slice(0, 2)) {
        await session.close();
        await one.closeWriter((await adopt(one)).writer);
      }
      const [early, late] = written.map(({ writer }) => writer);
      const read = await other.readClosed(null);
      expect(read.map(({ writer, last }) => [writer, last])).toEqual([
        [late, 6],
        [early, 6],
      ]);
      expect((await other.readClosed(read[0]?.place as number)).map(({ writer }) => writer)).toEqual([early]);
      expect(await other.readClosed(read[1]?.place as number)).toEqual([]);

      expect([await one.reopen(late as string), await other.reopen(late as string), await one.reopen(late as string)]).toEqual([
        true,
        false,
        false,
      ]);
      await one.closeWriter(late as string);
      expect(await other.reopen(late as string)).toBe(true);
      await written[2]?.session.close();
      await closeBoth();
    });
  });
}

import { beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { MemoryJournal, MemoryJournalStore, type MemoryTransaction } from '@kms/testing';
import { buildBlock, chainHash, GENESIS, splitBlock } from './block.ts';
import { Journal } from './index.ts';

const event = (name: string) => () => name;

let stored: MemoryJournal;
let store: MemoryJournalStore;
let journal: Journal<MemoryTransaction>;

const texts = () => stored.blocks.flatMap((block) => splitBlock(block).map(String));

beforeEach(() => {
  stored = new MemoryJournal();
  store = new MemoryJournalStore(stored);
  journal = new Journal({ store });
});

describe('a journal', () => {
  it('commits what arrives together as one block, numbered and chained', async () => {
    const placements = await Promise.all(['a', 'b', 'c'].map((name) => journal.append(event(name))));
    expect(stored.blocks).toHaveLength(1);
    expect(placements.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
    const afterTwo = chainHash(chainHash(GENESIS, Buffer.from('a')), Buffer.from('b'));
    expect(placements[2]?.hash).toEqual(chainHash(afterTwo, Buffer.from('c')));
    expect((await journal.append(event('d'))).sequence).toBe(4);
  });

  it('refuses only the events whose fence does not hold, and leaves nothing of them', async () => {
    stored.revisions.set('entry', 2);
    const results = await Promise.allSettled([
      journal.append(event('stale'), { key: 'entry', revision: 1 }),
      journal.append(event('good'), { key: 'entry', revision: 2 }),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect(results[0]).toMatchObject({ reason: { code: 'fenced' } });
    expect(texts()).toEqual(['good']);
  });

  it('refuses what does not fit into its queue', async () => {
    journal = new Journal({ store, limits: { maxQueued: 1 } });
    const first = journal.append(event('a'));
    await expect(journal.append(event('b'))).rejects.toMatchObject({ code: 'overloaded' });
    await first;
    expect(texts()).toEqual(['a']);
  });

  it('refuses what a store refuses, and reuses the number', async () => {
    stored.nextCommit = 'refused';
    await expect(journal.append(event('a'))).rejects.toMatchObject({ code: 'unavailable' });
    expect((await journal.append(event('b'))).sequence).toBe(1);
    expect(texts()).toEqual(['b']);
  });

  it.each(['lost-before', 'lost-after'] as const)('confirms a commit that was %s once it is there, exactly once', async (fault) => {
    stored.nextCommit = fault;
    await journal.append(event('a'));
    expect(texts()).toEqual(['a']);
    expect((await journal.append(event('b'))).writer).toBe('writer-2');
  });

  it.each(['lost-before', 'lost-after'] as const)('does not confirm a commit that was %s and stays in doubt', async (fault) => {
    stored.nextCommit = fault;
    store.resolve = async () => 'unknown';
    await expect(journal.append(event('a'))).rejects.toMatchObject({ code: 'in-doubt' });
    expect((await journal.append(event('b'))).writer).toBe('writer-2');
  });

  it('gives up on appends whose store cannot be reached in their time', async () => {
    stored.isAway = true;
    journal = new Journal({ store, limits: { maxWaitMs: 50 } });
    await expect(journal.append(event('a'))).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('gives transactions their place in the same order', async () => {
    const order = await Promise.all([
      journal.append(event('a')),
      journal.transact(async () => ({ events: [event('b')], value: 'changed' })),
      journal.append(event('c')),
    ]);
    expect(order[1]).toBe('changed');
    expect(texts()).toEqual(['a', 'b', 'c']);
    expect(stored.blocks.map(({ firstSequence }) => firstSequence)).toEqual([1, 2, 3]);
  });

  it('records nothing of a transaction whose work throws', async () => {
    await expect(journal.transact(() => Promise.reject(new Error('refused')))).rejects.toThrow('refused');
    expect(stored.blocks).toHaveLength(0);
  });

  describe('under load', () => {
    const FOREVER = 60_000;
    const append = (count: number) => Promise.all(Array.from({ length: count }, () => journal.append(event('x'))));
    const sizes = () => stored.blocks.map((block) => splitBlock(block).length);
    const turn = () => new Promise(setImmediate);

    beforeEach(async () => {
      journal = new Journal({ store, limits: { gatherMs: FOREVER, maxWaitMs: FOREVER } });
      await append(4);
    });

    it('waits for as many as it has just answered, and for no more', async () => {
      const first = append(3);
      for (let turns = 0; turns < 10; turns += 1) await turn();
      expect(sizes()).toEqual([4]);
      await Promise.all([first, append(1)]);
      expect(sizes()).toEqual([4, 4]);
    });

    it('waits for a moment only', async () => {
      journal = new Journal({ store, limits: { gatherMs: 1 } });
      await append(4);
      await append(3);
      expect(sizes()).toEqual([4, 4, 3]);
    });

    it('does not keep a change waiting', async () => {
      await journal.transact(async () => ({ events: [event('b')], value: null }));
      expect(sizes()).toEqual([4, 1]);
    });

    it('does not store a block of nothing where all have given up meanwhile', async () => {
      journal = new Journal({ store, limits: { gatherMs: 300, maxWaitMs: 50 } });
      await append(4);
      await expect(append(1)).rejects.toMatchObject({ code: 'unavailable' });
      await journal.close();
      expect(sizes()).toEqual([4, 4]);
    });
  });

  it('keeps nobody waiting for others where few come', async () => {
    journal = new Journal({ store, limits: { gatherMs: 60_000, maxWaitMs: 60_000 } });
    for (const count of [3, 1, 2, 1]) await Promise.all(Array.from({ length: count }, () => journal.append(event('x'))));
    expect(stored.blocks).toHaveLength(4);
  });

  it('finishes what waits when it is closed, and refuses the rest', async () => {
    const waiting = journal.append(event('a'));
    await journal.close();
    await waiting;
    await expect(journal.append(event('b'))).rejects.toMatchObject({ code: 'closed' });
  });
});

describe('a block', () => {
  it('splits into the events that it was built from', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1 }), (texts) => {
        const { block } = buildBlock('writer', { sequence: 7, hash: GENESIS }, texts.map(event));
        expect(splitBlock(block).map(String)).toEqual(texts);
      }),
    );
  });

  it('is refused when it is cut anywhere', () => {
    const { block } = buildBlock('writer', { sequence: 0, hash: GENESIS }, [event('abc'), event('def')]);
    for (let length = 0; length < block.events.length; length += 1) {
      expect(() => splitBlock({ ...block, events: block.events.subarray(0, length) })).toThrow(/block/);
    }
  });
});

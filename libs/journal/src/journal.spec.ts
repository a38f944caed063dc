import { beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { buildBlock, chainHash, GENESIS, splitBlock, type Block } from './block.ts';
import { Journal, SessionLostError, type Fence, type JournalStore, type Resolution, type WriterSession } from './index.ts';

const event = (name: string) => () => name;

/** A store in memory whose next insert can be told to fail. */
class FakeStore implements JournalStore<string> {
  readonly blocks: Block[] = [];
  readonly revisions = new Map<string, number>();
  resolution: Resolution = 'unknown';
  failNext: ((block: Block) => void) | null = null;
  opened = 0;

  open(): Promise<WriterSession<string>> {
    this.opened += 1;
    const holds = ({ key, revision }: Fence) => this.revisions.get(key) === revision;
    const store = (block: Block) => {
      const fail = this.failNext;
      this.failNext = null;
      fail?.(block);
      this.blocks.push(block);
    };
    return Promise.resolve({
      writer: `writer-${this.opened}`,
      insert: async (block, fences) => fences.every(holds) && (store(block), true),
      staleFences: async (fences) => fences.filter((fence) => !holds(fence)),
      transact: async (work) => {
        const { block, value } = await work('transaction');
        if (block !== null) store(block);
        return value;
      },
      close: () => Promise.resolve(),
    });
  }

  resolve(): Promise<Resolution> {
    return Promise.resolve(this.resolution);
  }

  get texts(): string[] {
    return this.blocks.flatMap((block) => splitBlock(block).map(String));
  }
}

let store: FakeStore;
let journal: Journal<string>;

beforeEach(() => {
  store = new FakeStore();
  journal = new Journal({ store });
});

describe('a journal', () => {
  it('commits what arrives together as one block, numbered and chained', async () => {
    const placements = await Promise.all(['a', 'b', 'c'].map((name) => journal.append(event(name))));
    expect(store.blocks).toHaveLength(1);
    expect(placements.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
    const afterTwo = chainHash(chainHash(GENESIS, Buffer.from('a')), Buffer.from('b'));
    expect(placements[2]?.hash).toEqual(chainHash(afterTwo, Buffer.from('c')));
    expect((await journal.append(event('d'))).sequence).toBe(4);
  });

  it('refuses only the events whose fence does not hold, and leaves nothing of them', async () => {
    store.revisions.set('entry', 2);
    const results = await Promise.allSettled([
      journal.append(event('stale'), { key: 'entry', revision: 1 }),
      journal.append(event('good'), { key: 'entry', revision: 2 }),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect(results[0]).toMatchObject({ reason: { code: 'fenced' } });
    expect(store.texts).toEqual(['good']);
  });

  it('refuses what does not fit into its queue', async () => {
    journal = new Journal({ store, limits: { maxQueued: 1 } });
    const first = journal.append(event('a'));
    await expect(journal.append(event('b'))).rejects.toMatchObject({ code: 'overloaded' });
    await first;
    expect(store.texts).toEqual(['a']);
  });

  it('refuses what a store refuses, and reuses the number', async () => {
    store.failNext = () => {
      throw new Error('the disk is full');
    };
    await expect(journal.append(event('a'))).rejects.toMatchObject({ code: 'unavailable' });
    expect((await journal.append(event('b'))).sequence).toBe(1);
    expect(store.texts).toEqual(['b']);
  });

  it.each<[Resolution, string[]]>([
    ['committed', ['a']],
    ['absent', ['a']],
  ])('confirms a lost commit that turns out %s once it is there, in a new writer', async (resolution, texts) => {
    store.resolution = resolution;
    store.failNext = (block) => {
      if (resolution === 'committed') store.blocks.push(block);
      throw new SessionLostError(block);
    };
    await journal.append(event('a'));
    expect(store.texts).toEqual(texts);
    expect((await journal.append(event('b'))).writer).toBe('writer-2');
  });

  it('does not confirm a commit that stays in doubt', async () => {
    store.failNext = (block) => {
      throw new SessionLostError(block);
    };
    await expect(journal.append(event('a'))).rejects.toMatchObject({ code: 'in-doubt' });
    expect((await journal.append(event('b'))).writer).toBe('writer-2');
  });

  it('gives up on appends whose store cannot be reached in their time', async () => {
    store.open = () => Promise.reject(new Error('connection refused'));
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
    expect(store.texts).toEqual(['a', 'b', 'c']);
    expect(store.blocks.map(({ firstSequence }) => firstSequence)).toEqual([1, 2, 3]);
  });

  it('records nothing of a transaction whose work throws', async () => {
    await expect(journal.transact(() => Promise.reject(new Error('refused')))).rejects.toThrow('refused');
    expect(store.blocks).toHaveLength(0);
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

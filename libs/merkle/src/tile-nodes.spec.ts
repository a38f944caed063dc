import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { checkConsistency, checkInclusion } from './check-proof.ts';
import { CompactRange } from './compact-range.ts';
import { edgeNodeReader } from './edge-nodes.ts';
import { proveConsistency, proveInclusion, readCompactRange } from './make-proof.ts';
import { codeOf } from './refusals.fixture.ts';
import { newTiles, parseTilePath, tileInTree, tileNodes, tilePath, type Tile } from './tile.ts';
import { HashTile, hashTileNodeReader, tileNodeReader, type TileReader } from './tile-nodes.ts';
import { SHA256_TREE } from './tree-hasher.ts';

const SIZE = 66_000;

/** A tree of three tile levels, kept as nodes and as the roots of every size; its tiles are made of the nodes. */
const nodes = new Map<string, Uint8Array>();
const range = CompactRange.empty();
const roots = [range.root()];
for (let index = 0; index < SIZE; index += 1) {
  range.append(SHA256_TREE.leaf(Buffer.from(`record ${index}`)), (node, hash) => nodes.set(`${node.level}/${node.index}`, hash));
  roots.push(range.root());
}
const head = (size: number) => ({ size, root: roots[size] as Uint8Array });
const content = (tile: Tile) => Buffer.concat(tileNodes(tile).map(({ level, index }) => nodes.get(`${level}/${index}`) as Uint8Array));
const tilesOf = (size: number) => new Map(newTiles(0, size).map((tile) => [tilePath(tile), tile]));

/** Reads the tiles of a size, and no others; remembers what it was asked. */
function tileStore(size: number): TileReader & { asked: string[][] } {
  const there = tilesOf(size);
  const asked: string[][] = [];
  return {
    asked,
    readTiles: async (tiles) => {
      asked.push(tiles.map(tilePath));
      return tiles.map((tile) => {
        expect(there.has(tilePath(tile))).toBe(true);
        return content(tile);
      });
    },
  };
}

const size = fc.oneof(fc.integer({ min: 1, max: SIZE }), fc.constantFrom(1, 255, 256, 257, 65_535, 65_536, 65_537, SIZE));

describe('tileNodeReader', () => {
  it('makes every proof of the tiles that the tree has at that size, each read once, in one call', async () => {
    await fc.assert(
      fc.asyncProperty(size, fc.nat(), fc.nat(), async (leaves, someIndex, someSize) => {
        const [index, old] = [someIndex % leaves, someSize % (leaves + 1)];
        const store = tileStore(leaves);
        const reader = tileNodeReader(store, leaves);
        const inclusion = await proveInclusion(reader, index, leaves);
        checkInclusion(nodes.get(`0/${index}`) as Uint8Array, index, inclusion, head(leaves));
        checkConsistency(head(old), head(leaves), await proveConsistency(reader, old, leaves));
        expect((await readCompactRange(reader, old)).root()).toEqual(roots[old]);
        expect(store.asked.length).toBeLessThanOrEqual(3);
        for (const paths of store.asked) expect(new Set(paths).size).toBe(paths.length);
      }),
      { numRuns: 300 },
    );
  });

  it('asks for at most two tiles of each level', async () => {
    const store = tileStore(SIZE);
    await proveInclusion(tileNodeReader(store, SIZE), 12_345, SIZE);
    expect(store.asked).toEqual([['tile/0/048', 'tile/1/000', 'tile/1/001.p/1', 'tile/0/257.p/208']]);
  });

  it.each([
    ['a node beyond the tree', { level: 0, index: 5 }],
    ['a subtree that is not complete', { level: 3, index: 0 }],
    ['a negative level', { level: -1, index: 0 }],
    ['half a level', { level: 0.5, index: 0 }],
    ['a negative index', { level: 0, index: -1 }],
    ['half an index', { level: 0, index: 0.5 }],
  ])('refuses %s', async (_, node) => {
    const reader = tileNodeReader({ readTiles: async (tiles) => tiles.map(content) }, 5);
    await expect(reader.readNodes([node])).rejects.toMatchObject({ code: 'invalid-argument' });
  });

  it.each([
    ['too short', [Buffer.alloc(31)]],
    ['too long', [Buffer.alloc(33)]],
    ['missing', []],
  ])('refuses a tile that is %s', async (_, tiles) => {
    const reader = tileNodeReader({ readTiles: async () => tiles }, 1);
    await expect(reader.readNodes([{ level: 0, index: 0 }])).rejects.toMatchObject({ code: 'format' });
  });

  it('is not made for what is no size', () => {
    expect(codeOf(() => tileNodeReader({ readTiles: async () => [] }, -1))).toBe('invalid-argument');
  });
});

describe('hashTileNodeReader', () => {
  it('makes the same proofs of tiles that are kept, and have grown since', async () => {
    const kept = new Map([...tilesOf(SIZE).values()].map((tile) => [`${tile.level}/${tile.index}`, new HashTile(content(tile))]));
    const readHashTiles = async (tiles: readonly Tile[]) => tiles.map(({ level, index }) => kept.get(`${level}/${index}`) as HashTile);
    await fc.assert(
      fc.asyncProperty(size, fc.nat(), async (leaves, someIndex) => {
        const index = someIndex % leaves;
        const proof = await proveInclusion(hashTileNodeReader({ readHashTiles }, leaves), index, leaves);
        expect(proof).toEqual(await proveInclusion(tileNodeReader(tileStore(leaves), leaves), index, leaves));
      }),
    );
  });

  it('refuses a tile that is narrower than asked for, or missing', async () => {
    const narrow = new HashTile(content({ level: 0, index: 0, width: 2 }));
    for (const tiles of [[narrow], []]) {
      const reader = hashTileNodeReader({ readHashTiles: async () => tiles }, 3);
      await expect(reader.readNodes([{ level: 1, index: 0 }])).rejects.toMatchObject({ code: 'format' });
    }
  });

  it.each([0, 31, 33, 257 * 32])('takes no tile of %s bytes', (length) => {
    expect(codeOf(() => new HashTile(Buffer.alloc(length)))).toBe('format');
  });
});

describe('edgeNodeReader', () => {
  it('makes the same proofs, and asks for no tile that only the edge is in', async () => {
    await fc.assert(
      fc.asyncProperty(size, fc.nat(), fc.nat(), async (leaves, someIndex, someSize) => {
        const [index, old] = [someIndex % leaves, someSize % (leaves + 1)];
        const plain = tileNodeReader(tileStore(leaves), leaves);
        const store = tileStore(leaves);
        const reader = edgeNodeReader(await readCompactRange(plain, leaves), tileNodeReader(store, leaves));
        expect(await proveInclusion(reader, index, leaves)).toEqual(await proveInclusion(plain, index, leaves));
        // On each level the tile that the leaf is under.
        for (const path of store.asked.flat()) {
          const { level, index: at } = parseTilePath(path);
          expect(at).toBe(Math.floor(index / 256 ** (Number(level) + 1)));
        }
        expect(await proveConsistency(reader, old, leaves)).toEqual(await proveConsistency(plain, old, leaves));
        expect((await readCompactRange(reader, leaves)).root()).toEqual(roots[leaves]);
      }),
      { numRuns: 300 },
    );
  });

  it('refuses an answer of another number of hashes', async () => {
    const edge = await readCompactRange(tileNodeReader(tileStore(3), 3), 3);
    for (const hashes of [[], [Buffer.alloc(32), Buffer.alloc(32)]]) {
      const reader = edgeNodeReader(edge, { readNodes: async () => hashes });
      await expect(reader.readNodes([{ level: 0, index: 0 }])).rejects.toMatchObject({ code: 'invalid-argument' });
    }
  });
});

describe('the tiles of a tree', () => {
  it('are what growing to its size in any steps has added', () => {
    const steps = fc.array(fc.nat(70_000), { maxLength: 4 }).map((sizes) => [0, ...sizes.sort((a, b) => a - b)]);
    fc.assert(
      fc.property(steps, (sizes) => {
        const last = sizes.at(-1) as number;
        const grown = new Set(sizes.slice(1).flatMap((next, at) => newTiles(sizes[at] as number, next).map(tilePath)));
        for (const path of tilesOf(last).keys()) expect(grown.has(path)).toBe(true);
        const full = (paths: Iterable<string>) => [...paths].filter((path) => !path.includes('.p/')).sort();
        expect(full(grown)).toEqual(full(tilesOf(last).keys()));
      }),
      { numRuns: 30 },
    );
  });

  it('are each at its place, as wide as the size has it', () => {
    for (const tile of tilesOf(SIZE).values()) expect(tileInTree(tile.level, tile.index, SIZE)).toEqual(tile);
    expect(tileInTree(0, 258, SIZE)).toBeNull();
    expect(tileInTree(3, 0, SIZE)).toBeNull();
    expect(tileInTree(63, 0, Number.MAX_SAFE_INTEGER)).toBeNull();
  });

  it.each<[string, Tile]>([
    ['level', { level: 64, index: 0, width: 1 }],
    ['level', { level: -1, index: 0, width: 1 }],
    ['index', { level: 0, index: -1, width: 1 }],
    ['index', { level: 0, index: 2 ** 53, width: 1 }],
    ['width', { level: 0, index: 0, width: 0 }],
    ['width', { level: 0, index: 0, width: 257 }],
  ])('have no other %s', (_, tile) => {
    expect(codeOf(() => tilePath(tile))).toBe('invalid-argument');
    expect(codeOf(() => tileNodes(tile))).toBe('invalid-argument');
  });
});

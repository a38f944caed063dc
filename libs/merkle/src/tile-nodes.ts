import { malformed } from './canonical-text.ts';
import { CompactRange } from './compact-range.ts';
import type { NodeReader } from './make-proof.ts';
import { requireComplete, requireSize, type NodeId } from './subtree.ts';
import { TILE_LEVELS, TILE_WIDTH, tileInTree, tilePath, type Tile } from './tile.ts';
import { HASH_BYTES, SHA256_TREE, type TreeHasher } from './tree-hasher.ts';

/**
 * Where a tree's hash tiles are. `readTiles` resolves with the bytes of each tile, 32 for each hash, in the order asked for. It rejects with an
 * error of its own when a tile is missing or the place is not reached.
 */
export interface TileReader {
  readTiles(tiles: readonly Tile[]): Promise<readonly Uint8Array[]>;
}

interface Place {
  readonly tile: Tile;
  /** The node's leftmost hash in the tile, and how many it is made of. */
  readonly first: number;
  readonly count: number;
}

/**
 * Reads a tree's nodes from its tiles as they are at that size, each tile once, by one call of the reader for all nodes of a call. The tiles
 * are not authenticated: a proof made of them is to be checked, as any is. Throws an `invalid-argument` {@link MerkleError} for a size that is
 * none. Its `readNodes` rejects with `invalid-argument` for a node that is not complete at that size, and `format` for a tile of another length.
 */
export function tileNodeReader(reader: TileReader, size: number, hasher: TreeHasher = SHA256_TREE): NodeReader {
  requireSize(size);
  return {
    async readNodes(nodes) {
      const places = nodes.map((node) => placeOf(node, size));
      const tiles = [...new Map(places.map(({ tile }) => [tilePath(tile), tile])).entries()];
      const contents = await reader.readTiles(tiles.map(([, tile]) => tile));
      const byPath = new Map(tiles.map(([path, tile], at) => [path, requireContent(tile, contents[at])]));
      return places.map(({ tile, first, count }) => rootInTile(byPath.get(tilePath(tile)) as Uint8Array, first, count, hasher));
    },
  };
}

/** The hash of the node over `count` hashes of a tile, a power of two, from its hash `first`. */
function rootInTile(tile: Uint8Array, first: number, count: number, hasher: TreeHasher): Uint8Array {
  const range = CompactRange.empty(hasher);
  for (let at = first; at < first + count; at += 1) range.append(tile.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES));
  return range.root();
}

function placeOf({ level, index }: NodeId, size: number): Place {
  requireComplete({ level, index }, size);
  const tileLevel = Math.floor(level / TILE_LEVELS);
  const count = 2 ** (level % TILE_LEVELS);
  const first = (index * count) % TILE_WIDTH;
  // A complete node's hashes are all there at that size, in one tile.
  const tile = tileInTree(tileLevel, Math.floor((index * count) / TILE_WIDTH), size) as Tile;
  return { tile, first, count };
}

function requireContent(tile: Tile, content: Uint8Array | undefined): Uint8Array {
  if (content?.length !== tile.width * HASH_BYTES) throw malformed(`A tile must have ${HASH_BYTES} bytes for each of its hashes.`);
  return content;
}

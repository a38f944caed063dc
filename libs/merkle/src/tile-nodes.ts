import { malformed } from './canonical-text.ts';
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

/** A hash tile, and the nodes over its hashes, each of which is computed once, when it is asked for first. */
export class HashTile {
  readonly #hashes: Uint8Array;
  readonly #hasher: TreeHasher;
  /** As a heap has them: the root of a full tile at 1, and below the node at n those at 2n and 2n + 1. */
  readonly #nodes: (Uint8Array | undefined)[] = [];

  /** The bytes, 32 for each hash, MUST NOT be changed afterwards. Throws a `format` {@link MerkleError} unless they are of 1 to 256 hashes. */
  constructor(hashes: Uint8Array, hasher: TreeHasher = SHA256_TREE) {
    const width = hashes.length / HASH_BYTES;
    if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) throw wrongLength();
    this.#hashes = hashes;
    this.#hasher = hasher;
  }

  get width(): number {
    return this.#hashes.length / HASH_BYTES;
  }

  /** The node over `count` hashes, a power of two, from the hash `first` on, a multiple of it. They MUST be within the tile. */
  root(first: number, count: number): Uint8Array {
    if (count === 1) return this.#hashes.subarray(first * HASH_BYTES, (first + 1) * HASH_BYTES);
    const below = count / 2;
    return (this.#nodes[(TILE_WIDTH + first) / count] ??= this.#hasher.node(this.root(first, below), this.root(first + below, below)));
  }
}

/** Where tiles are that were read before, or are read now; as {@link TileReader}. Tiles never lose a hash: one that is wider than asked for will do. */
export interface HashTileReader {
  readHashTiles(tiles: readonly Tile[]): Promise<readonly HashTile[]>;
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
  const readHashTiles = async (tiles: readonly Tile[]) => {
    const contents = await reader.readTiles(tiles);
    return tiles.map((tile, at) => new HashTile(requireContent(tile, contents[at]), hasher));
  };
  return hashTileNodeReader({ readHashTiles }, size);
}

/** {@link tileNodeReader} for tiles that remember their nodes. `format` is then for a tile that is missing or not as wide as asked for. */
export function hashTileNodeReader(reader: HashTileReader, size: number): NodeReader {
  requireSize(size);
  return {
    async readNodes(nodes) {
      const places = nodes.map((node) => placeOf(node, size));
      const tiles = [...new Map(places.map(({ tile }) => [tilePath(tile), tile])).entries()];
      const read = await reader.readHashTiles(tiles.map(([, tile]) => tile));
      const byPath = new Map(tiles.map(([path, tile], at) => [path, requireWide(tile, read[at])]));
      return places.map(({ tile, first, count }) => (byPath.get(tilePath(tile)) as HashTile).root(first, count));
    },
  };
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
  if (content?.length !== tile.width * HASH_BYTES) throw wrongLength();
  return content;
}

function requireWide({ width }: Tile, tile: HashTile | undefined): HashTile {
  if (tile === undefined || tile.width < width) throw wrongLength();
  return tile;
}

const wrongLength = () => malformed(`A tile must have ${HASH_BYTES} bytes for each of its hashes.`);

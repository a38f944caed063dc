import {
  HASH_BYTES,
  readCompactRange,
  sameBytes,
  TILE_WIDTH,
  tileInTree,
  tileNodeReader,
  tilePath,
  type NodeReader,
  type Tile,
  type TileReader,
  type TreeHasher,
  type TreeHead,
} from '@kms/merkle';
import { EvidenceError } from './evidence-error.ts';
import { requireFile, type LogFiles } from './log-files.ts';

/**
 * A log's hash tiles, each shown to be under the checkpoint's root before it is given out. The tiles at the right edge make the root itself;
 * every other tile's root is a hash of the tile above it. So a wrong tile is named, and what is read here can be believed. At most two tiles
 * of each level are kept.
 */
export class AuthenticatedTiles implements TileReader {
  readonly #files: LogFiles;
  readonly #tree: TreeHead;
  readonly #hasher: TreeHasher;
  /** By path. */
  readonly #edge = new Map<string, Uint8Array>();
  /** The one read last, by level: neighbours have the same parent. */
  readonly #full = new Map<Tile['level'], { index: number; hashes: Uint8Array }>();
  readonly #pairs: Uint8Array;

  private constructor(files: LogFiles, tree: TreeHead, hasher: TreeHasher) {
    this.#files = files;
    this.#tree = tree;
    this.#hasher = hasher;
    this.#pairs = new Uint8Array((TILE_WIDTH / 2) * HASH_BYTES);
  }

  /** Reads the right edge. Throws an {@link EvidenceError}: `missing-file`, `wrong-tile` for one of another length, `wrong-root`. */
  static async open(files: LogFiles, tree: TreeHead, hasher: TreeHasher): Promise<AuthenticatedTiles> {
    const tiles = new AuthenticatedTiles(files, tree, hasher);
    for (const tile of edgeTiles(tree.size)) tiles.#edge.set(tilePath(tile), await tiles.#read(tile));
    const edge: TileReader = { readTiles: async (asked) => asked.map((tile) => tiles.#edge.get(tilePath(tile)) as Uint8Array) };
    const range = await readCompactRange(tileNodeReader(edge, tree.size, hasher), tree.size, hasher);
    if (!sameBytes(range.root(), tree.root))
      throw new EvidenceError('wrong-root', 'The tiles at the right edge of the tree do not make the root that was signed.');
    return tiles;
  }

  /** The tree's nodes, for proofs that need no further check of the tiles. Rejects as {@link read} does. */
  get nodes(): NodeReader {
    return tileNodeReader(this, this.#tree.size, this.#hasher);
  }

  readTiles(tiles: readonly Tile[]): Promise<Uint8Array[]> {
    return inOrder(tiles, (tile) => this.read(tile));
  }

  /** The hashes of a tile as it is in this tree. Throws an {@link EvidenceError}: `missing-file` or `wrong-tile`, for it or a tile above it. */
  async read(tile: Tile): Promise<Uint8Array> {
    if (tile.width < TILE_WIDTH) return this.#edge.get(tilePath(tile)) as Uint8Array;
    const known = this.#full.get(tile.level);
    if (known?.index === tile.index) return known.hashes;
    const hashes = await this.#read(tile);
    const above = tileInTree(Number(tile.level) + 1, Math.floor(tile.index / TILE_WIDTH), this.#tree.size) as Tile;
    const at = (tile.index % TILE_WIDTH) * HASH_BYTES;
    const wanted = (await this.read(above)).subarray(at, at + HASH_BYTES);
    if (!sameBytes(this.#rootOf(hashes), wanted)) throw wrongTile(tile);
    this.#full.set(tile.level, { index: tile.index, hashes });
    return hashes;
  }

  async #read(tile: Tile): Promise<Uint8Array> {
    const hashes = await requireFile(this.#files, tilePath(tile));
    if (hashes.length !== tile.width * HASH_BYTES) throw wrongTile(tile);
    return hashes;
  }

  /** The root of a full tile, level by level in place: it is there until the next call. */
  #rootOf(hashes: Uint8Array): Uint8Array {
    let from = hashes;
    for (let width = TILE_WIDTH / 2; width >= 1; width /= 2) {
      for (let at = 0; at < width; at += 1) {
        const pair = at * 2 * HASH_BYTES;
        const [left, right] = [from.subarray(pair, pair + HASH_BYTES), from.subarray(pair + HASH_BYTES, pair + 2 * HASH_BYTES)];
        this.#pairs.set(this.#hasher.node(left, right), at * HASH_BYTES);
      }
      from = this.#pairs;
    }
    return this.#pairs.subarray(0, HASH_BYTES);
  }
}

/** The tiles of a tree of that size that are not full, from the lowest level up. */
function edgeTiles(size: number): Tile[] {
  const tiles: Tile[] = [];
  for (let [level, hashes] = [0, size]; hashes > 0; [level, hashes] = [level + 1, Math.floor(hashes / TILE_WIDTH)]) {
    const width = hashes % TILE_WIDTH;
    if (width > 0) tiles.push({ level, index: Math.floor(hashes / TILE_WIDTH), width });
  }
  return tiles;
}

function wrongTile(tile: Tile): EvidenceError {
  return new EvidenceError('wrong-tile', `The tile ${tilePath(tile)} is not the one that is under the checkpoint.`);
}

async function inOrder<T, R>(items: readonly T[], action: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) results.push(await action(item));
  return results;
}

import { malformed, parseDecimal } from './canonical-text.ts';
import { MerkleError } from './merkle-error.ts';
import { requireSize, type NodeId } from './subtree.ts';

/*
 * Tiles, https://c2sp.org/tlog-tiles: a tree as files that never change. A hash tile of level L holds up to 256 hashes of complete subtrees of
 * 256^L leaves; an entry bundle holds the records of a hash tile of level 0.
 */

/** A file of a tree: the tile or bundle `index` of its level, from 0, with its first `width` hashes or entries. */
export interface Tile {
  /** From 0 to 63; `entries` for a bundle. */
  readonly level: number | 'entries';
  /** From 0 to 2^53 - 1. */
  readonly index: number;
  /** From 1 to 256, and 256 when it is full. */
  readonly width: number;
}

/** A full tile has so many hashes. */
export const TILE_WIDTH = 256;
/** A tile stands for a subtree of so many levels. */
export const TILE_LEVELS = 8;

const MAX_LEVEL = 63;
const PATH = /^tile\/([^/]*)\/([^.]*)(?:\.p\/(.*))?$/s;
const DECIMAL = /^(?:0|[1-9][0-9]{0,2})$/;
/** Groups of three digits, of which the first is not zero unless it is the only one. */
const INDEX = /^(?:x(?!000)[0-9]{3}\/(?:x[0-9]{3}\/)*)?[0-9]{3}$/;

/** The path of a tile, such as `tile/0/x001/067` or `tile/entries/000.p/8`. Throws an `invalid-argument` {@link MerkleError} for what is none. */
export function tilePath(tile: Tile): string {
  const { level, index, width } = requireTile(tile);
  return `tile/${level}/${indexPath(index)}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/**
 * Reads what {@link tilePath} writes, and nothing else. Throws a {@link MerkleError} that says which part is wrong: `format`, or `too-large` for
 * an index above 2^53 - 1.
 */
export function parseTilePath(path: string): Tile {
  const [, level, index, width] = PATH.exec(path) ?? [];
  if (level === undefined || index === undefined)
    throw malformed('A tile path must be tile/<level>/<index>, followed by .p/<width> for a partial tile.');
  return { level: parseLevel(level), index: parseIndex(index), width: width === undefined ? TILE_WIDTH : parseWidth(width) };
}

function parseLevel(text: string): Tile['level'] {
  if (text === 'entries') return text;
  if (!DECIMAL.test(text) || Number(text) > MAX_LEVEL)
    throw malformed(`The level in a tile path must be entries, or a number from 0 to ${MAX_LEVEL} without leading zeros.`);
  return Number(text);
}

function parseIndex(text: string): number {
  if (!INDEX.test(text))
    throw malformed('The index in a tile path must be groups of three digits, all but the last after an x, and no more than it takes.');
  return parseDecimal(text.replace(/[x/]/g, '').replace(/^0+(?=.)/, ''));
}

function parseWidth(text: string): number {
  if (!DECIMAL.test(text) || Number(text) < 1 || Number(text) >= TILE_WIDTH)
    throw malformed(`The width in a tile path must be a number from 1 to ${TILE_WIDTH - 1} without leading zeros.`);
  return Number(text);
}

/** The tile `index` of a level as it is in a tree of that size, or `null` where the tree has none yet. Throws `invalid-argument`. */
export function tileInTree(level: Tile['level'], index: number, size: number): Tile | null {
  requireTile({ level, index, width: 1 });
  const width = Math.min(hashesOnLevel(level, size) - index * TILE_WIDTH, TILE_WIDTH);
  return width > 0 ? { level, index, width } : null;
}

/**
 * The tiles and bundles that a tree of `newSize` leaves has and one of `oldSize` has not, bundles first, then tiles from below, and each level
 * from left to right. What was full stays as it is; what was partial is there again, wider, as a tile of its own.
 * Throws an `invalid-argument` {@link MerkleError} for sizes in the wrong order.
 */
export function newTiles(oldSize: number, newSize: number): Tile[] {
  if (requireSize(oldSize) > requireSize(newSize))
    throw new MerkleError('invalid-argument', 'The old size must not be above the new size.');
  const tiles = newTilesOnLevel('entries', oldSize, newSize);
  for (let level = 0; hashesOnLevel(level, newSize) > 0; level += 1) tiles.push(...newTilesOnLevel(level, oldSize, newSize));
  return tiles;
}

/** The nodes whose hashes a tile holds, in its order; for a bundle those of its entries. Throws `invalid-argument` for what is no tile. */
export function tileNodes(tile: Tile): NodeId[] {
  const { level, index, width } = requireTile(tile);
  const first = index * TILE_WIDTH;
  return Array.from({ length: width }, (_, at) => ({ level: level === 'entries' ? 0 : level * TILE_LEVELS, index: first + at }));
}

function newTilesOnLevel(level: Tile['level'], oldSize: number, newSize: number): Tile[] {
  const [before, after] = [hashesOnLevel(level, oldSize), hashesOnLevel(level, newSize)];
  const tiles: Tile[] = [];
  if (before === after) return tiles;
  for (let index = Math.floor(before / TILE_WIDTH); index * TILE_WIDTH < after; index += 1) {
    tiles.push({ level, index, width: Math.min(after - index * TILE_WIDTH, TILE_WIDTH) });
  }
  return tiles;
}

function hashesOnLevel(level: Tile['level'], size: number): number {
  return Math.floor(requireSize(size) / TILE_WIDTH ** (level === 'entries' ? 0 : level));
}

/** The index in groups of three digits, all but the last with an `x` before them. */
function indexPath(index: number): string {
  const digits = String(index);
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0');
  return padded.replace(/[0-9]{3}(?=.)/g, 'x$&/');
}

function requireTile(tile: Tile): Tile {
  if (!isTile(tile)) {
    throw new MerkleError('invalid-argument', 'A tile has a level from 0 to 63, an index from 0 to 2^53 - 1, and a width from 1 to 256.');
  }
  return tile;
}

function isTile({ level, index, width }: Tile): boolean {
  const isLevel = level === 'entries' || (Number.isInteger(level) && level >= 0 && level <= MAX_LEVEL);
  return isLevel && Number.isSafeInteger(index) && index >= 0 && Number.isInteger(width) && width >= 1 && width <= TILE_WIDTH;
}

import { malformed } from './canonical-text.ts';
import { MerkleError } from './merkle-error.ts';
import { TILE_WIDTH } from './tile.ts';

/*
 * Entry bundles, https://c2sp.org/tlog-tiles: up to 256 records one after another, each as its length (2 bytes, big-endian) and its bytes.
 */

/**
 * The longest record that a bundle can hold, as its format has two bytes for the length. A log whose records are to be published in bundles
 * MUST refuse longer ones before it appends them: once a record is in the tree it can neither be left out nor cut.
 */
export const MAX_ENTRY_BYTES = 65_535;

const LENGTH_BYTES = 2;

/** Writes a bundle. Throws a {@link MerkleError}: `too-large` for a record above 65,535 bytes, `invalid-argument` for no record or more than 256. */
export function writeEntryBundle(entries: readonly Uint8Array[]): Uint8Array {
  requireWidth(entries.length);
  const bundle = new Uint8Array(entries.reduce((length, entry) => length + LENGTH_BYTES + entryLength(entry), 0));
  const view = new DataView(bundle.buffer);
  let at = 0;
  for (const entry of entries) {
    view.setUint16(at, entry.length);
    bundle.set(entry, at + LENGTH_BYTES);
    at += LENGTH_BYTES + entry.length;
  }
  return bundle;
}

/**
 * Reads the records of a bundle of that width. They are views on its bytes, which are not copied. Throws a {@link MerkleError}: `format` for a
 * bundle that ends early or has bytes behind its last record, `invalid-argument` for a width that is none.
 */
export function parseEntryBundle(bundle: Uint8Array, width: number): Uint8Array[] {
  requireWidth(width);
  const view = new DataView(bundle.buffer, bundle.byteOffset, bundle.byteLength);
  const entries: Uint8Array[] = [];
  let at = 0;
  while (entries.length < width) {
    if (at + LENGTH_BYTES > bundle.length) throw malformed('The bundle ends before its last record.');
    const start = at + LENGTH_BYTES;
    at = start + view.getUint16(at);
    if (at > bundle.length) throw malformed('The bundle ends within a record.');
    entries.push(bundle.subarray(start, at));
  }
  if (at !== bundle.length) throw malformed('The bundle has bytes behind its last record.');
  return entries;
}

function entryLength({ length }: Uint8Array): number {
  if (length > MAX_ENTRY_BYTES) throw new MerkleError('too-large', `A bundle’s record has at most ${MAX_ENTRY_BYTES} bytes.`);
  return length;
}

function requireWidth(width: number): void {
  if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) {
    throw new MerkleError('invalid-argument', `A bundle has from 1 to ${TILE_WIDTH} records.`);
  }
}

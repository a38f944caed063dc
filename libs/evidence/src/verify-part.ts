import { EventFormatError } from '@kms/contracts';
import { HASH_BYTES, sameBytes, TILE_WIDTH, tileInTree, tilePath, TreeHasher, type Sha256, type Tile, type TreeHead } from '@kms/merkle';
import { AuthenticatedTiles } from './authenticated-tiles.ts';
import { EvidenceError } from './evidence-error.ts';
import { requireFile, type LogFiles } from './log-files.ts';
import { readId, readRecord } from './read-record.ts';
import { WriterChains, type ChainsState } from './writer-chains.ts';

/** A part of a log: its records from the index `from` up to `to`, whole bundles. */
export interface LogPart {
  readonly origin: string;
  /** What was signed, and believed. */
  readonly tree: TreeHead;
  readonly from: number;
  readonly to: number;
}

/** Verifies parts of a log somewhere else, such as in a thread of their own, while the parts before them are verified. */
export interface Elsewhere {
  /** A log of fewer records is not parted. */
  readonly least: number;
  /**
   * Resolves with what {@link verifyPart} does; with null where that rejects, or where the part could not be verified. Then the whole log is
   * verified anew without it, so that what is said of it never depends on where it was verified. The signal ends the work.
   */
  verify(part: LogPart, signal: AbortSignal): Promise<ChainsState | null>;
}

/**
 * Verifies a part of a log by itself, as {@link verifyLog} does, and resolves with what it shows of the writers' chains; null where that is
 * not all of it. Throws an {@link EvidenceError} for the first thing that is wrong; an error of `files` passes on.
 */
export async function verifyPart(files: LogFiles, part: LogPart, sha256: Sha256): Promise<ChainsState | null> {
  const hasher = new TreeHasher(sha256);
  const chains = new WriterChains(sha256);
  await verifyBundles(files, await AuthenticatedTiles.open(files, part.tree, hasher), part, hasher, chains);
  return chains.state();
}

/** Each record of a part, by the tree's tiles and in its writer's chain. `progress` is told how many there were, after every bundle. */
export async function verifyBundles(
  files: LogFiles,
  tiles: AuthenticatedTiles,
  { origin, tree, from, to }: LogPart,
  hasher: TreeHasher,
  chains: WriterChains,
  progress?: (records: number) => void,
): Promise<void> {
  for (const bundle of bundlesOf(from, to, tree.size)) {
    await verifyBundle(files, bundle, await tiles.read({ ...bundle, level: 0 }), origin, hasher, chains);
    progress?.(bundle.index * TILE_WIDTH + bundle.width - from);
  }
}

/** The entry bundles with the records from `from` up to `to`, as they are in a tree of that size. */
export function* bundlesOf(from: number, to: number, size: number): Generator<Tile> {
  for (let index = Math.floor(from / TILE_WIDTH); index * TILE_WIDTH < to; index += 1) yield tileInTree('entries', index, size) as Tile;
}

async function verifyBundle(
  files: LogFiles,
  tile: Tile,
  hashes: Uint8Array,
  origin: string,
  hasher: TreeHasher,
  chains: WriterChains,
): Promise<void> {
  const bundle = await requireFile(files, tilePath(tile));
  let [at, index] = [0, tile.index * TILE_WIDTH];
  for (let place = 0; place < tile.width; place += 1, index += 1) {
    const start = at + 2;
    at = start + ((bundle[at] ?? 0) << 8) + (bundle[at + 1] ?? 0);
    if (start > bundle.length)
      throw new EvidenceError('wrong-record', 'is missing: its bundle ends before it.', { record: { index, id: null } });
    const record = bundle.subarray(start, at);
    const wanted = hashes.subarray(place * HASH_BYTES, (place + 1) * HASH_BYTES);
    if (at > bundle.length || !sameBytes(hasher.leaf(record), wanted))
      throw new EvidenceError('wrong-record', 'is not the one that the log has there.', { record: { index, id: readId(record) } });
    verifyRecord(record, index, origin, chains);
  }
  if (at !== bundle.length)
    throw new EvidenceError('wrong-record', 'is followed by bytes that are of no record.', { record: { index: index - 1, id: null } });
}

function verifyRecord(record: Uint8Array, index: number, origin: string, chains: WriterChains): void {
  const facts = readEvent(record, index);
  if (!origin.endsWith(`/${facts.organizationId}`))
    throw new EvidenceError('wrong-organization', 'is of another organization.', { record: { index, id: facts.id } });
  chains.add(index, facts, record);
}

function readEvent(record: Uint8Array, index: number) {
  try {
    return readRecord(record);
  } catch (cause) {
    if (!(cause instanceof EventFormatError)) throw cause;
    throw new EvidenceError('not-an-event', `is no event that this version knows. ${cause.message}`, {
      record: { index, id: readId(record) },
      cause,
    });
  }
}

import { TILE_WIDTH, tileInTree, tilePath, type Tile } from '@kms/merkle';
import { EvidenceError } from './evidence-error.ts';
import { requireFile, type LogFiles } from './log-files.ts';
import { PACK_FORMAT, writeManifest, type Manifest } from './manifest.ts';
import { packReadme } from './pack-readme.ts';
import { claimedCheckpoint, wholeBundles } from './verify-log.ts';
import { bundlesOf } from './verify-part.ts';

/** Where a pack is written to. */
export interface PackWriter {
  /** Resolves once the file is there, for good. Each path comes once. Rejects with an error of its own. */
  write(path: string, bytes: Uint8Array): Promise<void>;
}

export interface PackContent {
  /** The log's verifier keys (C2SP signed-note). */
  readonly keys: readonly string[];
  /** The records to take: from the index `from`, 0 by default, up to `to`, which is not among them, the log's size by default. */
  readonly from?: number;
  readonly to?: number;
  /** Older signed checkpoints, of any age, so that the pack can be compared with them. */
  readonly older?: readonly Uint8Array[];
  /** Told how many files have been written. An error that it throws ends the writing. */
  readonly progress?: (written: number) => void;
}

/** So many files are read at once. */
const AT_ONCE = 8;

/**
 * Copies a log's files into a pack, as they are at its checkpoint now: the entry bundles that the range touches, and all hash tiles that
 * prove their records and the older checkpoints. Nothing is verified here, so that is to be done with what was written
 * ({@link verifyPack}); the manifest is written last, so a pack without one is not whole. Throws an {@link EvidenceError}: `missing-file`,
 * `wrong-checkpoint`, or `incomplete` for a range that the log has not; errors of `files` and `writer` pass on.
 */
export async function writePack(files: LogFiles, writer: PackWriter, content: PackContent): Promise<Manifest> {
  const note = await requireFile(files, 'checkpoint');
  const { origin, size } = claimedCheckpoint(note);
  const range = requireWithin(content, size);
  const older = [...new Map((content.older ?? []).map((old) => [claimedCheckpoint(old).size, old]))].sort(([a], [b]) => a - b);
  const checkpoints = older.map(([old]) => old);
  let written = 0;
  for (const paths of batches(packTiles(range, size, checkpoints))) {
    const contents = await Promise.all(paths.map((path) => requireFile(files, path)));
    for (const [place, path] of paths.entries()) await writer.write(path, contents[place] as Uint8Array);
    content.progress?.((written += paths.length));
  }
  const manifest: Manifest = { format: PACK_FORMAT, origin, size, ...range, checkpoints };
  const text = new TextEncoder();
  for (const [old, bytes] of older) await writer.write(`checkpoints/${old}`, bytes);
  await writer.write('keys', text.encode(content.keys.map((key) => `${key}\n`).join('')));
  await writer.write('README.md', text.encode(packReadme(manifest)));
  await writer.write('checkpoint', note);
  await writer.write('manifest.json', writeManifest(manifest));
  return manifest;
}

function requireWithin({ from = 0, to }: PackContent, size: number): { from: number; to: number } {
  const end = to ?? size;
  if (from > end || end > size)
    throw new EvidenceError('incomplete', `The records from ${from} to ${end} were asked for, and the log has ${size}.`);
  return wholeBundles(from, end, size);
}

/**
 * The tiles of a pack: the range's bundles and their tiles; of the lowest level also those at the right edges of the tree and of the older
 * ones; above, all, which are a 256th of the log's records and fewer. One by one: nobody has verified the size.
 */
function* packTiles({ from, to }: { from: number; to: number }, size: number, checkpoints: readonly number[]): Generator<Tile> {
  for (const bundle of bundlesOf(from, to, size)) yield* [bundle, { ...bundle, level: 0 }];
  const edges = new Set([...checkpoints, size].map((edge) => Math.floor(edge / TILE_WIDTH)));
  for (const index of edges) {
    const tile = tileInTree(0, index, size);
    const isThere = index * TILE_WIDTH >= from && index * TILE_WIDTH < to;
    if (tile !== null && !isThere) yield tile;
  }
  for (let level = 1; tileInTree(level, 0, size) !== null; level += 1) yield* tilesOfLevel(level, size);
}

function* tilesOfLevel(level: number, size: number): Generator<Tile> {
  for (let index = 0; ; index += 1) {
    const tile = tileInTree(level, index, size);
    if (tile === null) return;
    yield tile;
  }
}

function* batches(tiles: Iterable<Tile>): Generator<string[]> {
  let paths: string[] = [];
  for (const tile of tiles) {
    paths.push(tilePath(tile));
    if (paths.length < AT_ONCE) continue;
    yield paths;
    paths = [];
  }
  yield paths;
}

import { newTiles, parseCheckpoint, parseNote, TILE_WIDTH, tileInTree, tilePath, type Tile } from '@kms/merkle';
import { edgeTiles } from './authenticated-tiles.ts';
import { EvidenceError } from './evidence-error.ts';
import { requireFile, type LogFiles } from './log-files.ts';
import { PACK_FORMAT, writeManifest, type Manifest } from './manifest.ts';
import { packReadme } from './pack-readme.ts';
import { bundlesOf, wholeBundles } from './verify-log.ts';

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
  /** Told how many files have been written, and how many there are. An error that it throws ends the writing. */
  readonly progress?: (written: number, all: number) => void;
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
  const { origin, size } = parseCheckpoint(parseNote(note).text);
  const range = requireWithin(content, size);
  const older = [...new Map((content.older ?? []).map((old) => [parseCheckpoint(parseNote(old).text).size, old]))].sort(
    ([a], [b]) => a - b,
  );
  const checkpoints = older.map(([old]) => old);
  const tiles = packTiles(range, size, checkpoints);
  let written = 0;
  for (let at = 0; at < tiles.length; at += AT_ONCE) {
    const some = tiles.slice(at, at + AT_ONCE).map(tilePath);
    const contents = await Promise.all(some.map((path) => requireFile(files, path)));
    for (const [place, path] of some.entries()) await writer.write(path, contents[place] as Uint8Array);
    content.progress?.((written += some.length), tiles.length);
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
 * The tiles of a pack: the range's bundles; below, their tiles, the right edge's, and those at the older trees' right edges; above, all,
 * which are a 256th of the log's records and fewer.
 */
function packTiles({ from, to }: { from: number; to: number }, size: number, checkpoints: readonly number[]): Tile[] {
  const bundles = [...bundlesOf(from, to, size)];
  const beside = checkpoints.filter((old) => old < size).map((old) => tileInTree(0, Math.floor(old / TILE_WIDTH), size));
  const lowest = [...bundles.map((bundle): Tile => ({ ...bundle, level: 0 })), ...edgeTiles(size), ...beside].filter(
    (tile): tile is Tile => tile?.level === 0,
  );
  const above = newTiles(0, size).filter(({ level }) => level !== 0 && level !== 'entries');
  return [...bundles, ...new Map(lowest.map((tile) => [tilePath(tile), tile])).values(), ...above];
}

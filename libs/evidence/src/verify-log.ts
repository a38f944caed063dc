import { EventFormatError } from '@kms/contracts';
import {
  checkConsistency,
  MerkleError,
  NODE_CRYPTOGRAPHY,
  openCheckpoint,
  parseCheckpoint,
  parseNote,
  proveConsistency,
  sameBytes,
  TILE_WIDTH,
  TreeHasher,
  HASH_BYTES,
  tileInTree,
  tilePath,
  type Checkpoint,
  type CheckpointPolicy,
  type OpenedCheckpoint,
  type Sha256,
  type Tile,
} from '@kms/merkle';
import { AuthenticatedTiles } from './authenticated-tiles.ts';
import { EvidenceError, type EvidenceErrorCode } from './evidence-error.ts';
import { requireFile, type LogFiles } from './log-files.ts';
import { readId, readRecord } from './read-record.ts';
import { WriterChains, type WriterReport } from './writer-chains.ts';

/** What an auditor brings along to judge a log. */
export interface LogExpectations {
  /** Whose checkpoints are believed, and of which log. */
  readonly policy: CheckpointPolicy;
  /** Signed checkpoints that were given before, of any age: the log must begin with the records of each. None by default. */
  readonly known?: readonly Uint8Array[];
  /** The records that are to be checked: from the index `from`, 0 by default, up to `to`, which is not among them, the log's size by default. */
  readonly from?: number;
  readonly to?: number;
  /** Node's by default. */
  readonly sha256?: Sha256;
  /** Told how many records have been checked, after every bundle. An error that it throws ends the verification. */
  readonly progress?: (records: number) => void;
}

/** What a log was shown to be. */
export interface LogReport {
  readonly checkpoint: OpenedCheckpoint;
  /** Which records were checked: all bundles that the asked range touches. */
  readonly from: number;
  readonly to: number;
  /** The sizes of the checkpoints given before, each of which it extends. */
  readonly extends: readonly number[];
  readonly writers: readonly WriterReport[];
  /** Links of writers' chains that were checked, and records that came too late for that ({@link WriterChains.unchecked}). */
  readonly links: number;
  readonly unchecked: number;
}

/**
 * Verifies a log: its checkpoint's signatures, that it extends the checkpoints given before, that its tiles make the root that was signed, and
 * for each record that it is the one in the tree at its index, is an event by the schema, is of the log's organization, and fits its writer's
 * chain. In one pass and bounded memory: some tiles, one bundle, and the writers' numbers.
 *
 * Throws an {@link EvidenceError} for the first thing that is wrong; an error of `files` passes on. Throws an `invalid-argument`
 * {@link MerkleError} for a policy that is none.
 */
export async function verifyLog(files: LogFiles, expectations: LogExpectations): Promise<LogReport> {
  const { policy, known = [], sha256 = NODE_CRYPTOGRAPHY.sha256, progress } = expectations;
  const hasher = new TreeHasher(sha256);
  const opened = open(await requireFile(files, 'checkpoint'), policy, 'The checkpoint', hasher);
  const { checkpoint } = opened;
  // Witnesses come and go: a quorum is asked of the newest checkpoint only.
  const older = known.map((note) => open(note, { origin: policy.origin, logKeys: policy.logKeys }, 'A checkpoint given before', hasher));
  for (const { checkpoint: old } of older) requireNotSmaller(old, checkpoint);
  const { from, to } = requireRange(expectations, checkpoint.size);
  const tiles = await AuthenticatedTiles.open(files, checkpoint, hasher);
  for (const { checkpoint: old } of older) await requireExtends(old, checkpoint, tiles, hasher);
  const chains = new WriterChains(sha256);
  for (const bundle of bundlesOf(from, to, checkpoint.size)) {
    await verifyBundle(files, bundle, await tiles.read({ ...bundle, level: 0 }), checkpoint.origin, hasher, chains);
    progress?.(bundle.index * TILE_WIDTH + bundle.width - from);
  }
  const { links, unchecked } = chains;
  return { checkpoint: opened, from, to, extends: older.map((old) => old.checkpoint.size), writers: chains.reports(), links, unchecked };
}

/** The entry bundles with the records from `from` up to `to`, as they are in a tree of that size. */
export function* bundlesOf(from: number, to: number, size: number): Generator<Tile> {
  for (let index = Math.floor(from / TILE_WIDTH); index * TILE_WIDTH < to; index += 1) yield tileInTree('entries', index, size) as Tile;
}

/** A range widened to whole bundles of a log of that size. */
export function wholeBundles(from: number, to: number, size: number): { from: number; to: number } {
  const start = Math.floor(from / TILE_WIDTH) * TILE_WIDTH;
  return { from: start, to: from === to ? start : Math.min(Math.ceil(to / TILE_WIDTH) * TILE_WIDTH, size) };
}

const CODES: Readonly<Partial<Record<MerkleError['code'], EvidenceErrorCode>>> = {
  format: 'wrong-checkpoint',
  'too-large': 'wrong-checkpoint',
  'wrong-root': 'wrong-checkpoint',
  'wrong-origin': 'wrong-origin',
  'bad-signature': 'bad-signature',
  untrusted: 'untrusted',
};

function open(note: Uint8Array, policy: CheckpointPolicy, subject: string, hasher: TreeHasher): OpenedCheckpoint {
  try {
    return openCheckpoint(note, policy, hasher);
  } catch (error) {
    const code = error instanceof MerkleError ? CODES[error.code] : undefined;
    if (code === undefined) throw error;
    throw new EvidenceError(code, `${subject} is refused: ${(error as MerkleError).message}`, { cause: error });
  }
}

/** What a checkpoint says, which nobody has verified. Throws a `wrong-checkpoint` {@link EvidenceError}. */
export function claimedCheckpoint(note: Uint8Array): Checkpoint {
  try {
    return parseCheckpoint(parseNote(note).text);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new EvidenceError('wrong-checkpoint', `The checkpoint is refused: ${cause.message}`, { cause });
  }
}

function requireNotSmaller(old: Checkpoint, next: Checkpoint): void {
  if (old.size > next.size)
    throw new EvidenceError('inconsistent', `The log has ${next.size} records, and had ${old.size} at a checkpoint given before.`);
  if (old.size === next.size && !sameBytes(old.root, next.root))
    throw new EvidenceError('inconsistent', `The log is a fork: a checkpoint given before has other records, and as many (${old.size}).`);
}

async function requireExtends(old: Checkpoint, next: Checkpoint, tiles: AuthenticatedTiles, hasher: TreeHasher): Promise<void> {
  const proof = await proveConsistency(tiles.nodes, old.size, next.size, hasher);
  try {
    checkConsistency(old, next, proof, hasher);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    const sentence = `The log does not begin with the ${old.size} records of a checkpoint given before: they were changed.`;
    throw new EvidenceError('inconsistent', sentence, { cause });
  }
}

function requireRange({ from = 0, to }: LogExpectations, size: number): { from: number; to: number } {
  const end = to ?? size;
  if (from > end || end > size)
    throw new EvidenceError('incomplete', `The records from ${from} to ${end} were asked for, and the log has ${size}.`);
  return wholeBundles(from, end, size);
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

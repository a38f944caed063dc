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
  type Checkpoint,
  type CheckpointPolicy,
  type OpenedCheckpoint,
  type Sha256,
} from '@kms/merkle';
import { AuthenticatedTiles } from './authenticated-tiles.ts';
import { EvidenceError, type EvidenceErrorCode } from './evidence-error.ts';
import { requireFile, type LogFiles } from './log-files.ts';
import { verifyBundles, type Elsewhere, type LogPart } from './verify-part.ts';
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
  /** Told how many records have been checked here, after every bundle. An error that it throws ends the verification. */
  readonly progress?: (records: number) => void;
  /** Verifies the second half of the records at the same time; without, they are verified here, one after another. */
  readonly elsewhere?: Elsewhere;
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
  const { policy, known = [], sha256 = NODE_CRYPTOGRAPHY.sha256, progress, elsewhere } = expectations;
  const hasher = new TreeHasher(sha256);
  const opened = open(await requireFile(files, 'checkpoint'), policy, 'The checkpoint', hasher);
  const { checkpoint } = opened;
  // Witnesses come and go: a quorum is asked of the newest checkpoint only.
  const older = known.map((note) => open(note, { origin: policy.origin, logKeys: policy.logKeys }, 'A checkpoint given before', hasher));
  for (const { checkpoint: old } of older) requireNotSmaller(old, checkpoint);
  const { from, to } = requireRange(expectations, checkpoint.size);
  const tiles = await AuthenticatedTiles.open(files, checkpoint, hasher);
  for (const { checkpoint: old } of older) await requireExtends(old, checkpoint, tiles, hasher);
  const part = { origin: checkpoint.origin, tree: checkpoint, from, to };
  const chains = await verifyRecords(part, sha256, (own, to) => verifyBundles(files, tiles, own, hasher, to, progress), elsewhere);
  const { links, unchecked } = chains;
  return { checkpoint: opened, from, to, extends: older.map((old) => old.checkpoint.size), writers: chains.reports(), links, unchecked };
}

/** The records of a part, by `verify`; the second half of them elsewhere, where there is another place and it is worth while. */
async function verifyRecords(
  part: LogPart,
  sha256: Sha256,
  verify: (part: LogPart, chains: WriterChains) => Promise<void>,
  elsewhere?: Elsewhere,
): Promise<WriterChains> {
  const chains = new WriterChains(sha256);
  const { from, to } = part;
  if (elsewhere === undefined || to - from < elsewhere.least) {
    await verify(part, chains);
    return chains;
  }
  const middle = Math.ceil((from + to) / 2 / TILE_WIDTH) * TILE_WIDTH;
  const ending = new AbortController();
  try {
    const second = elsewhere.verify({ ...part, from: middle }, ending.signal);
    await verify({ ...part, to: middle }, chains);
    const state = await second;
    if (state !== null && chains.join(state)) return chains;
  } finally {
    ending.abort();
  }
  return verifyRecords(part, sha256, verify);
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

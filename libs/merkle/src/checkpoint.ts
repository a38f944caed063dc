import { requireEmptyRoot, type TreeHead } from './check-proof.ts';
import { encodeBase64, malformed, parseDecimal, parseHash, requireLine, splitLines } from './canonical-text.ts';
import { MerkleError } from './merkle-error.ts';
import { parseNote, verifiedSignatures, type Note, type NoteSignature } from './note.ts';
import type { NoteVerifier } from './note-key.ts';
import { requireSize } from './subtree.ts';
import { requireHash, SHA256_TREE, type TreeHasher } from './tree-hasher.ts';

/*
 * Checkpoints, https://c2sp.org/tlog-checkpoint: the text of a signed note that names a log, its size, and its root.
 */

/** What a log says of itself. */
export interface Checkpoint extends TreeHead {
  /** Which log it is. */
  readonly origin: string;
  /** Further lines, which mean nothing here. They are signed, but nobody audits them. */
  readonly extensions: readonly string[];
}

/** Whose checkpoints are believed. */
export interface CheckpointPolicy {
  readonly origin: string;
  /** The log's keys. One of them must have signed; a rotation is a time with two. */
  readonly logKeys: readonly NoteVerifier[];
  /** The witnesses' keys, none of which speaks for the log. None by default. */
  readonly witnesses?: readonly NoteVerifier[];
  /** How many of the witnesses must have cosigned. None by default. */
  readonly quorum?: number;
}

/** A checkpoint that the policy believes. */
export interface OpenedCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly note: Note;
  /** The signatures by the policy's keys, all verified. */
  readonly signatures: readonly NoteSignature[];
}

/** Reads a checkpoint, the text of a note. Throws a {@link MerkleError}: `format`, or `too-large` for a size above 2^53 - 1. */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin, size, root, ...extensions] = splitLines(text).map(requireLine);
  if (origin === undefined || size === undefined || root === undefined)
    throw malformed('A checkpoint must have an origin, a size and a root.');
  return { origin, size: parseDecimal(size), root: parseHash(root), extensions };
}

/** Writes what {@link parseCheckpoint} reads. Throws a {@link MerkleError}: `format` for a line that is none, `invalid-argument` for a size or a root. */
export function writeCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  const lines = [origin, String(requireSize(size)), encodeBase64(requireHash(root)), ...extensions].map(requireLine);
  return lines.map((line) => `${line}\n`).join('');
}

/**
 * Reads a signed checkpoint and believes it, or throws a {@link MerkleError}: `format` and `too-large` for what is no checkpoint, `wrong-origin`,
 * `bad-signature` for a signature in the name of one of the policy's keys that is not by it, `untrusted` when no log key has signed or too few
 * witnesses have, `wrong-root` for a log without records and a root that is not that of no records, `invalid-argument` for a policy with a
 * key twice, or a quorum that its witnesses cannot make.
 */
export function openCheckpoint(bytes: Uint8Array, policy: CheckpointPolicy, hasher: TreeHasher = SHA256_TREE): OpenedCheckpoint {
  return openCheckpointNote(parseNote(bytes), policy, hasher);
}

/** {@link openCheckpoint} for a note that was read already, as part of another document. */
export function openCheckpointNote(note: Note, policy: CheckpointPolicy, hasher: TreeHasher = SHA256_TREE): OpenedCheckpoint {
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== policy.origin) throw new MerkleError('wrong-origin', 'The checkpoint is of another log.');
  const signatures = verifiedSignatures(note, [...policy.logKeys, ...(policy.witnesses ?? [])]);
  requireSigners(signatures, policy);
  requireEmptyRoot(checkpoint, hasher);
  return { checkpoint, note, signatures };
}

function requireSigners(signatures: readonly NoteSignature[], { logKeys, witnesses = [], quorum = 0 }: CheckpointPolicy): void {
  if (!Number.isInteger(quorum) || quorum < 0 || quorum > witnesses.length) {
    throw new MerkleError('invalid-argument', 'A quorum must be an integer from 0 to the number of witnesses.');
  }
  const signed = (key: NoteVerifier) => signatures.some(({ name, keyId }) => name === key.name && keyId === key.keyId);
  if (!logKeys.some(signed)) throw new MerkleError('untrusted', 'None of the log’s keys has signed the checkpoint.');
  // Each witness counts once, however often it signed.
  if (witnesses.filter(signed).length < quorum) throw new MerkleError('untrusted', 'Too few witnesses have cosigned the checkpoint.');
}

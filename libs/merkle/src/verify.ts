import { checkConsistency, checkInclusion, type TreeHead } from './check-proof.ts';
import { openCheckpoint, openCheckpointNote, type CheckpointPolicy, type OpenedCheckpoint } from './checkpoint.ts';
import { CompactRange } from './compact-range.ts';
import { MerkleError } from './merkle-error.ts';
import { parseInclusionDocument } from './proof-document.ts';
import { sameBytes, SHA256_TREE, type TreeHasher } from './tree-hasher.ts';

/*
 * What an auditor calls: everything here begins with bytes as they were received, and ends with a checkpoint that the auditor's own keys
 * vouch for.
 */

/** A record that is to be in a log at an index, and what shows it. */
export interface InclusionEvidence {
  /** The record's bytes, as they were hashed into the log. */
  readonly record: Uint8Array;
  readonly index: number;
  readonly proof: readonly Uint8Array[];
  /** The signed checkpoint. */
  readonly checkpoint: Uint8Array;
}

/** Two signed checkpoints of one log, and what shows that the newer one extends the older. */
export interface ConsistencyEvidence {
  readonly old: Uint8Array;
  readonly next: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/**
 * Shows that the record stands at that index in a log that the policy believes, and returns its checkpoint. Throws a {@link MerkleError}
 * otherwise, with the codes of {@link openCheckpoint} and {@link checkInclusion}.
 */
export function verifyInclusion(evidence: InclusionEvidence, policy: CheckpointPolicy, hasher: TreeHasher = SHA256_TREE): OpenedCheckpoint {
  const opened = openCheckpoint(evidence.checkpoint, policy, hasher);
  checkInclusion(hasher.leaf(evidence.record), evidence.index, evidence.proof, opened.checkpoint, hasher);
  return opened;
}

/** {@link verifyInclusion} for a `tlog-proof`. Throws a {@link MerkleError} with its codes and those of {@link parseInclusionDocument}. */
export function verifyInclusionDocument(
  record: Uint8Array,
  document: Uint8Array,
  policy: CheckpointPolicy,
  hasher: TreeHasher = SHA256_TREE,
): OpenedCheckpoint {
  const { index, proof, checkpoint } = parseInclusionDocument(document);
  const opened = openCheckpointNote(checkpoint, policy, hasher);
  checkInclusion(hasher.leaf(record), index, proof, opened.checkpoint, hasher);
  return opened;
}

/**
 * Shows that the newer checkpoint's log begins with all records of the older one's, and returns the newer. Throws a {@link MerkleError}
 * otherwise, with the codes of {@link openCheckpoint} and {@link checkConsistency}. Where the older one's keys are gone, its policy may
 * have others.
 */
export function verifyConsistency(
  evidence: ConsistencyEvidence,
  policy: CheckpointPolicy,
  oldPolicy: CheckpointPolicy = policy,
  hasher: TreeHasher = SHA256_TREE,
): OpenedCheckpoint {
  if (policy.origin !== oldPolicy.origin) throw new MerkleError('invalid-argument', 'Both policies must be for one log.');
  const old = openCheckpoint(evidence.old, oldPolicy, hasher);
  const next = openCheckpoint(evidence.next, policy, hasher);
  checkConsistency(old.checkpoint, next.checkpoint, evidence.proof, hasher);
  return next;
}

/**
 * Checks a log's records, given one after another, against the trees of its checkpoints. An object of this class belongs to whoever made it;
 * it keeps no record, and at most 53 hashes.
 */
export class RecordVerifier {
  readonly #hasher: TreeHasher;
  readonly #range: CompactRange;

  /** Begins at the first record, or behind those of a range that was kept. The range changes with every record, and is not to be used beside. */
  constructor(hasher: TreeHasher = SHA256_TREE, range: CompactRange = CompactRange.empty(hasher)) {
    this.#hasher = hasher;
    this.#range = range;
  }

  /** How many records there were, those of the range included; so also the index of the next one. */
  get size(): number {
    return this.#range.size;
  }

  /**
   * Takes the next record, and compares it with its leaf hash where one is known, from a tile for instance: that is what names a wrong record,
   * while a root only tells that there is one. Throws a `wrong-record` {@link MerkleError}, and has then not taken it.
   */
  add(record: Uint8Array, expectedLeafHash?: Uint8Array): void {
    const hash = this.#hasher.leaf(record);
    if (expectedLeafHash && !sameBytes(hash, expectedLeafHash)) {
      throw new MerkleError('wrong-record', `The record at index ${this.size} is not the one that the log has there.`);
    }
    this.#range.append(hash);
  }

  /**
   * Checks that the records up to here are those of that tree, no more and no fewer. Throws a {@link MerkleError}: `wrong-size` or `wrong-root`.
   */
  check(tree: TreeHead): void {
    if (this.size !== tree.size) throw new MerkleError('wrong-size', `The records are ${this.size}, the tree has ${tree.size}.`);
    if (!sameBytes(this.#range.root(), tree.root))
      throw new MerkleError('wrong-root', 'The records are not those that the tree was made of.');
  }
}

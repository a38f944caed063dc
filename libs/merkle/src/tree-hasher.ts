import { MerkleError } from './merkle-error.ts';
import { nodeSha256 } from './node-crypto.ts';

/** SHA-256: 32 new bytes for any bytes. MUST NOT keep or change what it is given: the caller writes over it afterwards. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** Every hash of the tree has this many bytes. */
export const HASH_BYTES = 32;

const LEAF_PREFIX = 0;
const NODE_PREFIX = 1;
/** Records up to this size are hashed without allocating; it is an audit record's bound many times over. */
const REUSED_RECORD_BYTES = 65_536;

/**
 * The hashes of an RFC 6962 Merkle tree (section 2.1; the same as RFC 9162, section 2.1.1). The prefixes keep a leaf from being taken for a
 * node: without them, two hashes side by side would pass as a record.
 */
export class TreeHasher {
  readonly sha256: Sha256;
  // Both are scratch space for one synchronous call: no call sees what another has left there.
  readonly #pair = new Uint8Array(1 + 2 * HASH_BYTES).fill(NODE_PREFIX, 0, 1);
  readonly #leaf = new Uint8Array(1 + REUSED_RECORD_BYTES).fill(LEAF_PREFIX, 0, 1);

  constructor(sha256: Sha256 = nodeSha256) {
    this.sha256 = sha256;
  }

  /** The root of the tree without leaves: the hash of no bytes. */
  emptyRoot(): Uint8Array {
    return this.sha256(new Uint8Array(0));
  }

  /** A record's leaf hash: `SHA-256(0x00 ‖ record)`. */
  leaf(record: Uint8Array): Uint8Array {
    const prefixed = record.length <= REUSED_RECORD_BYTES ? this.#leaf.subarray(0, 1 + record.length) : new Uint8Array(1 + record.length);
    prefixed.set(record, 1);
    return this.sha256(prefixed);
  }

  /** The hash over two subtrees: `SHA-256(0x01 ‖ left ‖ right)`. Throws `invalid-argument` unless both have 32 bytes. */
  node(left: Uint8Array, right: Uint8Array): Uint8Array {
    this.#pair.set(requireHash(left), 1);
    this.#pair.set(requireHash(right), 1 + HASH_BYTES);
    return this.sha256(this.#pair);
  }
}

/** The tree's hashes by Node's SHA-256: what every function here takes unless it is given another one. */
export const SHA256_TREE = new TreeHasher();

/** The hash itself, once it is known to have 32 bytes. Throws an `invalid-argument` {@link MerkleError}. */
export function requireHash(hash: Uint8Array): Uint8Array {
  if (hash.length !== HASH_BYTES) throw new MerkleError('invalid-argument', `A hash must have ${HASH_BYTES} bytes.`);
  return hash;
}

/** Whether both have the same bytes. Not in constant time: what is compared here is public. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at += 1) if (a[at] !== b[at]) return false;
  return true;
}

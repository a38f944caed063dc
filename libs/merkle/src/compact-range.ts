import { MerkleError } from './merkle-error.ts';
import { completeSubtrees, half, requireSize, type NodeId } from './subtree.ts';
import { requireHash, SHA256_TREE, type TreeHasher } from './tree-hasher.ts';

/** Told of every node that an append completes, a leaf first and then each subtree that it fills, from below. It MUST NOT throw. */
export type NodeSink = (node: NodeId, hash: Uint8Array) => void;

/**
 * The right edge of a tree: the hashes of its complete subtrees, from left to right, the largest first. That is all that is needed to
 * append to the tree and to know its root: at most 53 hashes, whatever the size. An object of this class changes with every append and
 * belongs to whoever made it; the hashes it is given and gives MUST NOT be changed afterwards.
 *
 * To store one, store `size` and `hashes()`; `CompactRange.from` reads them again.
 */
export class CompactRange {
  readonly #hasher: TreeHasher;
  readonly #hashes: Uint8Array[];
  #size: number;

  private constructor(size: number, hashes: readonly Uint8Array[], hasher: TreeHasher) {
    this.#size = size;
    this.#hashes = [...hashes];
    this.#hasher = hasher;
  }

  /** The range of the tree without leaves. */
  static empty(hasher: TreeHasher = SHA256_TREE): CompactRange {
    return new CompactRange(0, [], hasher);
  }

  /**
   * The range of a tree of that size, with the hashes that {@link hashes} gave. Throws an `invalid-argument` {@link MerkleError} for another
   * number of hashes than the size asks for (one for each of its binary ones), or a hash that has not 32 bytes. Whether they are the right
   * hashes shows in {@link root} only.
   */
  static from(size: number, hashes: readonly Uint8Array[], hasher: TreeHasher = SHA256_TREE): CompactRange {
    const expected = completeSubtrees({ start: 0, end: requireSize(size) }).length;
    if (hashes.length !== expected) throw new MerkleError('invalid-argument', `A compact range of that size has ${expected} hashes.`);
    return new CompactRange(size, hashes.map(requireHash), hasher);
  }

  /** The number of leaves. */
  get size(): number {
    return this.#size;
  }

  /** The hashes as they are now, in an array of its own. */
  hashes(): Uint8Array[] {
    return [...this.#hashes];
  }

  /** The tree's root; for no leaves the hash of no bytes. */
  root(): Uint8Array {
    const last = this.#hashes.at(-1);
    if (last === undefined) return this.#hasher.emptyRoot();
    return this.#hashes.slice(0, -1).reduceRight((right, left) => this.#hasher.node(left, right), last);
  }

  /**
   * Appends a leaf by its hash ({@link TreeHasher.leaf}). Throws a {@link MerkleError}, and has then changed nothing: `invalid-argument` for
   * a hash that has not 32 bytes, `too-large` for a tree that is full.
   */
  append(leafHash: Uint8Array, sink?: NodeSink): void {
    if (this.#size === Number.MAX_SAFE_INTEGER) throw new MerkleError('too-large', 'A tree has at most 2^53 - 1 leaves.');
    let hash = requireHash(leafHash);
    let [level, index] = [0, this.#size];
    sink?.({ level, index }, hash);
    // A right child completes its parent, whose left child is the last hash here.
    while (index % 2 === 1) {
      hash = this.#hasher.node(this.#hashes.pop() as Uint8Array, hash);
      [level, index] = [level + 1, half(index)];
      sink?.({ level, index }, hash);
    }
    this.#hashes.push(hash);
    this.#size += 1;
  }
}

import { MerkleError } from './merkle-error.ts';
import { half, requireIndex, requireSize } from './subtree.ts';
import { requireHash, sameBytes, SHA256_TREE, type TreeHasher } from './tree-hasher.ts';

/**
 * A tree as a checkpoint names it: its number of leaves and its root. The two belong together only because a checkpoint is signed: a proof
 * does not show that a root has that many leaves below it.
 */
export interface TreeHead {
  readonly size: number;
  readonly root: Uint8Array;
}

/**
 * Checks that the leaf with that hash is the one at `index` in the tree (RFC 9162, section 2.1.3.2). Throws a {@link MerkleError}:
 * `wrong-proof` when the proof does not show it, `invalid-argument` for an index outside of the tree or a hash that has not 32 bytes.
 */
export function checkInclusion(
  leafHash: Uint8Array,
  index: number,
  proof: readonly Uint8Array[],
  tree: TreeHead,
  hasher: TreeHasher = SHA256_TREE,
): void {
  requireIndex(index, tree.size);
  requireHash(leafHash);
  let [node, last, hash] = [index, tree.size - 1, leafHash];
  for (const sibling of proof.map(requireHash)) {
    if (last === 0) throw wrongProof();
    if (node % 2 === 1 || node === last) {
      hash = hasher.node(sibling, hash);
      // A last node without a sibling on the right goes up unchanged, until it is a right child.
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      hash = hasher.node(hash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  if (last !== 0 || !sameBytes(hash, tree.root)) throw wrongProof();
}

/**
 * Checks that the new tree begins with all leaves of the old one (RFC 9162, section 2.1.4.2). Every tree extends the empty one, and then the
 * proof must be empty, as it must between equal sizes, whose roots must be equal too. Throws a {@link MerkleError}: `wrong-size` when the new
 * tree is smaller, `wrong-root` when the sizes are equal and the roots are not, or the empty tree's root is not that of no leaves,
 * `wrong-proof` when the proof does not show it, `invalid-argument` for a size that is none or a hash that has not 32 bytes.
 */
export function checkConsistency(old: TreeHead, next: TreeHead, proof: readonly Uint8Array[], hasher: TreeHasher = SHA256_TREE): void {
  if (requireSize(old.size) > requireSize(next.size)) throw new MerkleError('wrong-size', 'The new tree is smaller than the old one.');
  if (old.size === 0) requireEmptyRoot(old, hasher);
  if (old.size === next.size && !sameBytes(old.root, next.root))
    throw new MerkleError('wrong-root', 'Two trees of one size have two roots.');
  if (old.size === 0 || old.size === next.size) {
    if (proof.length > 0) throw wrongProof();
    return;
  }
  const [oldRoot, newRoot] = rootsOf(old, next.size, proof.map(requireHash), hasher);
  if (!sameBytes(oldRoot, old.root) || !sameBytes(newRoot, next.root)) throw wrongProof();
}

/** Throws a `wrong-root` {@link MerkleError} when the tree has no leaves, but another root than the one of no leaves. */
export function requireEmptyRoot({ size, root }: TreeHead, hasher: TreeHasher = SHA256_TREE): void {
  if (size === 0 && !sameBytes(root, hasher.emptyRoot()))
    throw new MerkleError('wrong-root', 'A tree without leaves has a root that is not its own.');
}

/** The roots of the old and the new tree that the proof gives, for sizes from 1 and apart. */
function rootsOf(old: TreeHead, newSize: number, proof: readonly Uint8Array[], hasher: TreeHasher): [Uint8Array, Uint8Array] {
  let [node, last] = [old.size - 1, newSize - 1];
  while (node % 2 === 1) [node, last] = [half(node), half(last)];
  // An old tree that is one complete subtree is the start of the new one itself, and so is not in the proof.
  const [first, ...rest] = node === 0 ? [requireHash(old.root), ...proof] : proof;
  if (first === undefined) throw wrongProof();
  let [oldRoot, newRoot] = [first, first];
  for (const sibling of rest) {
    if (last === 0) throw wrongProof();
    if (node % 2 === 1 || node === last) {
      [oldRoot, newRoot] = [hasher.node(sibling, oldRoot), hasher.node(sibling, newRoot)];
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      newRoot = hasher.node(newRoot, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  if (last !== 0) throw wrongProof();
  return [oldRoot, newRoot];
}

function wrongProof(): MerkleError {
  return new MerkleError('wrong-proof', 'The proof does not lead to the root of the tree.');
}

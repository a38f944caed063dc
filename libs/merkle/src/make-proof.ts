import { CompactRange } from './compact-range.ts';
import { MerkleError } from './merkle-error.ts';
import { completeSubtrees, requireIndex, requireSize, splitPoint, type LeafRange, type NodeId } from './subtree.ts';
import { requireHash, SHA256_TREE, type TreeHasher } from './tree-hasher.ts';

/**
 * Where a tree's hashes are stored. `readNodes` resolves with one hash of 32 bytes for each node, in the order asked for. Every node asked
 * for in one call lies within the size that a proof is made for, so a store that never changes a node needs no snapshot. It rejects with an
 * error of its own when a node is missing or the store is not reached.
 */
export interface NodeReader {
  readNodes(nodes: readonly NodeId[]): Promise<readonly Uint8Array[]>;
}

/**
 * The inclusion proof of the leaf at `index` in the tree of `size` leaves (RFC 6962, section 2.1.1), from the leaf's sibling up to the
 * root's child, by one call of the reader. Throws an `invalid-argument` {@link MerkleError} for an index outside of the tree, or a reader
 * that answers with something else than one hash for each node. What it made is to be checked against the signed root before it is given out.
 */
export async function proveInclusion(
  reader: NodeReader,
  index: number,
  size: number,
  hasher: TreeHasher = SHA256_TREE,
): Promise<Uint8Array[]> {
  requireIndex(index, size);
  return readRoots(reader, inclusionPath(index, size), hasher);
}

/**
 * The consistency proof between the trees of `oldSize` and `newSize` leaves (RFC 6962, section 2.1.2), by one call of the reader. It has no
 * hashes from the empty tree, nor between equal sizes. Throws an `invalid-argument` {@link MerkleError} for sizes in the wrong order, or a
 * reader that answers with something else than one hash for each node. What it made is to be checked as an inclusion proof is.
 */
export async function proveConsistency(
  reader: NodeReader,
  oldSize: number,
  newSize: number,
  hasher: TreeHasher = SHA256_TREE,
): Promise<Uint8Array[]> {
  if (requireSize(oldSize) > requireSize(newSize))
    throw new MerkleError('invalid-argument', 'The old size must not be above the new size.');
  return readRoots(reader, oldSize === 0 ? [] : consistencyPath(oldSize, newSize), hasher);
}

/** The right edge of the tree as it was at that size, and with it its root, by one call of the reader. Throws as {@link proveInclusion} does. */
export async function readCompactRange(reader: NodeReader, size: number, hasher: TreeHasher = SHA256_TREE): Promise<CompactRange> {
  const nodes = completeSubtrees({ start: 0, end: requireSize(size) });
  return CompactRange.from(size, await readNodes(reader, nodes), hasher);
}

/** `PATH(index, D[size])`: the subtrees beside the way from the leaf up to the root. */
function inclusionPath(index: number, size: number): LeafRange[] {
  const path: LeafRange[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const middle = start + splitPoint(end - start);
    path.push(index < middle ? { start: middle, end } : { start, end: middle });
    [start, end] = index < middle ? [start, middle] : [middle, end];
  }
  return path.reverse();
}

/** `PROOF(oldSize, D[newSize])`: the subtrees that make both roots, apart from the old tree itself where it is a subtree of the new one. */
function consistencyPath(oldSize: number, newSize: number): LeafRange[] {
  const path: LeafRange[] = [];
  let [start, end] = [0, newSize];
  while (end !== oldSize) {
    const middle = start + splitPoint(end - start);
    path.push(oldSize <= middle ? { start: middle, end } : { start, end: middle });
    [start, end] = oldSize <= middle ? [start, middle] : [middle, end];
  }
  if (start > 0) path.push({ start, end });
  return path.reverse();
}

/** The root over each range of leaves, all by one call of the reader. */
async function readRoots(reader: NodeReader, ranges: readonly LeafRange[], hasher: TreeHasher): Promise<Uint8Array[]> {
  const subtrees = ranges.map(completeSubtrees);
  const hashes = await readNodes(reader, subtrees.flat());
  const roots: Uint8Array[] = [];
  let at = 0;
  for (const { length } of subtrees) {
    roots.push(hashes.slice(at, at + length).reduceRight((right, left) => hasher.node(left, right)));
    at += length;
  }
  return roots;
}

async function readNodes(reader: NodeReader, nodes: readonly NodeId[]): Promise<readonly Uint8Array[]> {
  const hashes = nodes.length === 0 ? [] : await reader.readNodes(nodes);
  if (hashes.length !== nodes.length) throw new MerkleError('invalid-argument', 'The node reader must answer with one hash for each node.');
  return hashes.map(requireHash);
}

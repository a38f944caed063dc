import { MerkleError } from './merkle-error.ts';

/*
 * Sizes and indexes are numbers, from 0 to 2^53 - 1 (the safe integers): a log that takes a million records a second gets there after 285
 * years, and a bigint costs several times as much in the inner loops. What is outside is refused here, never rounded. JavaScript's bit
 * operators cut to 32 bits, so the arithmetic is by division.
 */

/** A complete subtree: the one over the leaves from `index * 2^level` to `(index + 1) * 2^level`. A leaf is on level 0. */
export interface NodeId {
  readonly level: number;
  readonly index: number;
}

/** The leaves from `start` to `end`, `end` not among them. */
export interface LeafRange {
  readonly start: number;
  readonly end: number;
}

/** The size itself, once it is known to be one. Throws an `invalid-argument` {@link MerkleError}. */
export function requireSize(size: number): number {
  if (!Number.isSafeInteger(size) || size < 0)
    throw new MerkleError('invalid-argument', 'A tree size must be an integer from 0 to 2^53 - 1.');
  return size;
}

/** Throws an `invalid-argument` {@link MerkleError} unless the index is that of a leaf in a tree of that size. */
export function requireIndex(index: number, size: number): void {
  requireSize(size);
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw new MerkleError('invalid-argument', 'A leaf index must be an integer from 0, and less than the tree size.');
  }
}

/** Throws an `invalid-argument` {@link MerkleError} unless the node is a complete subtree of a tree of that size. */
export function requireComplete({ level, index }: NodeId, size: number): void {
  const known = Number.isInteger(level) && level >= 0 && Number.isSafeInteger(index) && index >= 0;
  if (!known || (index + 1) * 2 ** level > size)
    throw new MerkleError('invalid-argument', 'The node is not complete in a tree of that size.');
}

/** Half of a number, without its remainder: what a shift to the right is for numbers up to 32 bits. */
export function half(value: number): number {
  return Math.floor(value / 2);
}

/** The level of the largest complete subtree that so many leaves, at least one, can hold: their number's binary logarithm, rounded down. */
export function topLevel(leaves: number): number {
  // Not Math.log2, which rounds 2^53 - 1 up.
  let level = 0;
  for (let rest = half(leaves); rest > 0; rest = half(rest)) level += 1;
  return level;
}

/** Where RFC 6962 splits so many leaves, at least 2: the largest power of two below their number. */
export function splitPoint(leaves: number): number {
  return 2 ** topLevel(leaves - 1);
}

/**
 * The complete subtrees that a range of leaves is made of, from left to right, each as large as it can be. Only for ranges that RFC 6962's
 * splitting gives (and so for every one that starts at 0): their subtrees get smaller from left to right.
 */
export function completeSubtrees({ start, end }: LeafRange): NodeId[] {
  const subtrees: NodeId[] = [];
  for (let at = start; at < end;) {
    const level = topLevel(end - at);
    subtrees.push({ level, index: at / 2 ** level });
    at += 2 ** level;
  }
  return subtrees;
}

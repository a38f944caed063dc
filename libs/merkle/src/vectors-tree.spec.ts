import { checkConsistency, checkInclusion } from './check-proof.ts';
import { CompactRange } from './compact-range.ts';
import type { MerkleErrorCode } from './merkle-error.ts';
import { NaiveTree } from './naive-tree.fixture.ts';
import { flipBit } from './refusals.fixture.ts';
import { SHA256_TREE } from './tree-hasher.ts';
import { describeVectors, type Refusal, type Vector } from './vectors.fixture.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytes = (text: string) => Buffer.from(text, 'hex');
const flipped = (hash: string, bit: number) => hex(flipBit(bytes(hash), bit));

const RECORDS = Array.from({ length: 33 }, (_, index) => Buffer.from(`record ${index}`.repeat(index)));
const tree = new NaiveTree(RECORDS);
const root = (size: number) => tree.mth(0, size);

interface TreeVector extends Vector {
  records: string[];
  expected: { root: string; compactRange: string[] };
}

/** The complete subtrees of a size, by its binary ones. */
function compactRange(size: number): string[] {
  const hashes: string[] = [];
  for (let [start, level] = [0, 5]; level >= 0; level -= 1) {
    if ((size >> level) % 2 === 1) hashes.push(tree.mth(start, (start += 2 ** level)));
  }
  return hashes;
}

const TREES: TreeVector[] = [0, 1, 2, 3, 4, 5, 7, 8, 13, 32, 33].map((size) => ({
  name: `${size} records`,
  records: RECORDS.slice(0, size).map(hex),
  expected: { root: root(size), compactRange: compactRange(size) },
}));

type ProofResult = { proved: true } | Refusal;
interface InclusionVector extends Vector {
  leafHash: string;
  index: number;
  size: number;
  root: string;
  proof: string[];
  expected: ProofResult;
}

function inclusion(index: number, size: number): InclusionVector {
  const leafHash = tree.leafHashes[index] as string;
  const proof = tree.path(index, 0, size);
  return { name: `leaf ${index} of ${size}`, leafHash, index, size, root: root(size), proof, expected: { proved: true } };
}

function refused<V extends Vector>(good: V, name: string, error: MerkleErrorCode, changes: Partial<V>): V {
  return { ...good, ...changes, name: `${good.name}: ${name}`, expected: { error } };
}

const LEAF = inclusion(5, 13);
const [FIRST, SECOND, ...OTHERS] = LEAF.proof as [string, string, ...string[]];
const INCLUSION: InclusionVector[] = [
  ...[
    [0, 1],
    [0, 2],
    [1, 2],
    [2, 3],
    [0, 5],
    [4, 5],
    [12, 13],
    [7, 8],
    [31, 33],
    [32, 33],
  ].map(([index = 0, size = 0]) => inclusion(index, size)),
  LEAF,
  refused(LEAF, 'a flipped bit in the leaf hash', 'wrong-proof', { leafHash: flipped(LEAF.leafHash, 0) }),
  refused(LEAF, 'a flipped bit in the root', 'wrong-proof', { root: flipped(LEAF.root, 255) }),
  refused(LEAF, 'a flipped bit in the first hash', 'wrong-proof', { proof: [flipped(FIRST, 0), SECOND, ...OTHERS] }),
  refused(LEAF, 'a flipped bit in the last hash', 'wrong-proof', {
    proof: [...LEAF.proof.slice(0, -1), flipped(LEAF.proof.at(-1) ?? '', 255)],
  }),
  refused(LEAF, 'two hashes swapped', 'wrong-proof', { proof: [SECOND, FIRST, ...OTHERS] }),
  refused(LEAF, 'no first hash', 'wrong-proof', { proof: [SECOND, ...OTHERS] }),
  refused(LEAF, 'no last hash', 'wrong-proof', { proof: LEAF.proof.slice(0, -1) }),
  refused(LEAF, 'no hashes', 'wrong-proof', { proof: [] }),
  refused(LEAF, 'a hash behind the last', 'wrong-proof', { proof: [...LEAF.proof, FIRST] }),
  refused(LEAF, 'a hash before the first', 'wrong-proof', { proof: [FIRST, ...LEAF.proof] }),
  refused(LEAF, 'the sibling’s index', 'wrong-proof', { index: 4 }),
  refused(LEAF, 'another index', 'wrong-proof', { index: 6 }),
  refused(LEAF, 'the tree that is one larger', 'wrong-proof', { size: 14, root: root(14) }),
  refused(LEAF, 'the tree that is one smaller', 'wrong-proof', { size: 12, root: root(12) }),
  refused(LEAF, 'a node in the leaf’s place', 'wrong-proof', { leafHash: tree.mth(4, 6), index: 2, proof: [SECOND, ...OTHERS] }),
  refused(LEAF, 'the index after the last', 'invalid-argument', { index: 13 }),
  refused(LEAF, 'a negative index', 'invalid-argument', { index: -1 }),
  refused(LEAF, 'half an index', 'invalid-argument', { index: 5.5 }),
  refused(LEAF, 'a tree without leaves', 'invalid-argument', { index: 0, size: 0, root: root(0) }),
  refused(LEAF, 'a leaf hash of 31 bytes', 'invalid-argument', { leafHash: LEAF.leafHash.slice(2) }),
  refused(LEAF, 'a proof’s hash of 33 bytes', 'invalid-argument', { proof: [`${FIRST}00`, SECOND, ...OTHERS] }),
];

interface ConsistencyVector extends Vector {
  oldSize: number;
  oldRoot: string;
  newSize: number;
  newRoot: string;
  proof: string[];
  expected: ProofResult;
}

function consistency(oldSize: number, newSize: number): ConsistencyVector {
  const proof = oldSize === 0 ? [] : tree.subproof(oldSize, 0, newSize, true);
  const roots = { oldSize, oldRoot: root(oldSize), newSize, newRoot: root(newSize) };
  return { name: `from ${oldSize} to ${newSize}`, ...roots, proof, expected: { proved: true } };
}

const GROWTH = consistency(6, 13);
const COMPLETE = consistency(8, 13);
const SAME = consistency(5, 5);
const EMPTY = consistency(0, 5);
const [NEAR, ...FAR] = GROWTH.proof as [string, ...string[]];
const CONSISTENCY: ConsistencyVector[] = [
  ...[
    [0, 0],
    [1, 1],
    [1, 2],
    [1, 3],
    [2, 3],
    [3, 4],
    [3, 7],
    [4, 7],
    [7, 8],
    [8, 9],
    [32, 33],
    [31, 33],
  ].map(([old = 0, next = 0]) => consistency(old, next)),
  GROWTH,
  COMPLETE,
  SAME,
  EMPTY,
  refused(GROWTH, 'a flipped bit in the old root', 'wrong-proof', { oldRoot: flipped(GROWTH.oldRoot, 0) }),
  refused(GROWTH, 'a flipped bit in the new root', 'wrong-proof', { newRoot: flipped(GROWTH.newRoot, 255) }),
  refused(GROWTH, 'a flipped bit in the first hash', 'wrong-proof', { proof: [flipped(NEAR, 7), ...FAR] }),
  refused(GROWTH, 'a flipped bit in the last hash', 'wrong-proof', { proof: [...GROWTH.proof.slice(0, -1), flipped(FAR.at(-1) ?? '', 0)] }),
  refused(GROWTH, 'no first hash', 'wrong-proof', { proof: FAR }),
  refused(GROWTH, 'no last hash', 'wrong-proof', { proof: GROWTH.proof.slice(0, -1) }),
  refused(GROWTH, 'no hashes', 'wrong-proof', { proof: [] }),
  refused(GROWTH, 'a hash behind the last', 'wrong-proof', { proof: [...GROWTH.proof, NEAR] }),
  refused(GROWTH, 'the roots swapped', 'wrong-proof', { oldRoot: GROWTH.newRoot, newRoot: GROWTH.oldRoot }),
  refused(GROWTH, 'the old tree that is one smaller', 'wrong-proof', { oldSize: 5, oldRoot: root(5) }),
  refused(GROWTH, 'the tree that is one larger', 'wrong-proof', { newSize: 14, newRoot: root(14) }),
  refused(GROWTH, 'a hash of 31 bytes', 'invalid-argument', { proof: [NEAR.slice(2), ...FAR] }),
  refused(GROWTH, 'a new size below the old one', 'wrong-size', { newSize: 5, newRoot: root(5) }),
  refused(GROWTH, 'half a leaf', 'invalid-argument', { oldSize: 5.5 }),
  refused(COMPLETE, 'the old root in the proof too', 'wrong-proof', { proof: [COMPLETE.oldRoot, ...COMPLETE.proof] }),
  refused(COMPLETE, 'a flipped bit in the old root', 'wrong-proof', { oldRoot: flipped(COMPLETE.oldRoot, 0) }),
  refused(COMPLETE, 'no hashes', 'wrong-proof', { proof: [] }),
  refused(SAME, 'another root', 'wrong-root', { newRoot: root(4) }),
  refused(SAME, 'a hash', 'wrong-proof', { proof: [NEAR] }),
  refused(EMPTY, 'a hash', 'wrong-proof', { proof: [NEAR] }),
  refused(EMPTY, 'a root of its own', 'wrong-root', { oldRoot: root(1) }),
];

describeVectors('tree.json', TREES, ({ records }) => {
  const range = CompactRange.empty();
  for (const record of records) range.append(SHA256_TREE.leaf(bytes(record)));
  return { root: hex(range.root()), compactRange: range.hashes().map(hex) };
});

describeVectors('inclusion.json', INCLUSION, ({ leafHash, index, size, root: top, proof }) => {
  checkInclusion(bytes(leafHash), index, proof.map(bytes), { size, root: bytes(top) });
  return { proved: true };
});

describeVectors('consistency.json', CONSISTENCY, ({ oldSize, oldRoot, newSize, newRoot, proof }) => {
  checkConsistency({ size: oldSize, root: bytes(oldRoot) }, { size: newSize, root: bytes(newRoot) }, proof.map(bytes));
  return { proved: true };
});

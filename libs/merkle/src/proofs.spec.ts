import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { checkConsistency, checkInclusion, type TreeHead } from './check-proof.ts';
import { CompactRange } from './compact-range.ts';
import { proveConsistency, proveInclusion, readCompactRange, type NodeReader } from './make-proof.ts';
import type { MerkleErrorCode } from './merkle-error.ts';
import { NaiveTree } from './naive-tree.fixture.ts';
import { codeOf, flipBit } from './refusals.fixture.ts';
import type { NodeId } from './subtree.ts';
import { SHA256_TREE } from './tree-hasher.ts';

const MAX_SIZE = 256;
const record = (index: number) => Buffer.from(String(index));
const naive = new NaiveTree(Array.from({ length: MAX_SIZE }, (_, index) => record(index)));
const { leafHashes } = naive;
const bytes = (hex: string) => Buffer.from(hex, 'hex');
const root = (size: number) => naive.mth(0, size);
const path = (index: number, size: number) => naive.path(index, 0, size);
const proofBetween = (old: number, size: number) => naive.subproof(old, 0, size, true);
const head = (size: number): TreeHead => ({ size, root: bytes(root(size)) });
const hex = (hashes: readonly Uint8Array[]) => hashes.map((hash) => Buffer.from(hash).toString('hex'));
const SIZES = Array.from({ length: MAX_SIZE + 1 }, (_, size) => size);

/** A tree whose nodes are what appending told of, and how often it was asked. */
function storedTree(size: number): NodeReader & { range: CompactRange; calls: NodeId[][] } {
  const nodes = new Map<string, Uint8Array>();
  const range = CompactRange.empty();
  const sink = ({ level, index }: NodeId, hash: Uint8Array) => nodes.set(`${level}/${index}`, hash);
  for (let index = 0; index < size; index += 1) range.append(SHA256_TREE.leaf(record(index)), sink);
  const calls: NodeId[][] = [];
  return {
    range,
    calls,
    readNodes: async (ids) => {
      calls.push([...ids]);
      return ids.map(({ level, index }) => nodes.get(`${level}/${index}`) ?? Buffer.alloc(0));
    },
  };
}

const tree = storedTree(MAX_SIZE);

describe('a node’s hash', () => {
  it.each([
    [31, 32],
    [32, 31],
    [33, 32],
    [32, 33],
  ])('is not made of %i and %i bytes', (left, right) => {
    expect(codeOf(() => SHA256_TREE.node(Buffer.alloc(left), Buffer.alloc(right)))).toBe('invalid-argument');
  });
});

describe('a compact range', () => {
  it('has the root of every size, appended leaf by leaf, and after it was stored and read at every size', () => {
    let range = CompactRange.empty();
    for (const size of SIZES) {
      expect(range.size).toBe(size);
      expect(hex([range.root()])).toEqual([root(size)]);
      range = CompactRange.from(size, range.hashes());
      if (size < MAX_SIZE) range.append(SHA256_TREE.leaf(record(size)));
    }
  });

  it('tells of every complete subtree once, with its hash, when its last leaf comes', () => {
    const told: string[] = [];
    const range = CompactRange.empty();
    for (let index = 0; index < 8; index += 1) {
      range.append(SHA256_TREE.leaf(record(index)), (node, hash) => {
        expect(hex([hash])).toEqual([naive.mth(node.index * 2 ** node.level, (node.index + 1) * 2 ** node.level)]);
        told.push(`${node.level}/${node.index}`);
      });
    }
    expect(told).toEqual(['0/0', '0/1', '1/0', '0/2', '0/3', '1/1', '2/0', '0/4', '0/5', '1/2', '0/6', '0/7', '1/3', '2/1', '3/0']);
  });

  it('gives an array of its own', () => {
    const range = CompactRange.from(1, [bytes(root(1))]);
    range.hashes().pop();
    expect(hex([range.root()])).toEqual([root(1)]);
  });

  it.each([
    ['too few hashes', 3, [root(2)]],
    ['too many hashes', 2, [root(2), root(1)]],
    ['a hash of 31 bytes', 1, [root(1).slice(2)]],
    ['a negative size', -1, []],
    ['half a leaf', 0.5, []],
    ['a size above 2^53 - 1', 2 ** 53, [root(1)]],
    ['no number', Number.NaN, []],
  ])('is not made of %s', (_, size, hashes) => {
    expect(codeOf(() => CompactRange.from(size, hashes.map(bytes)))).toBe('invalid-argument');
  });

  it('refuses what is no hash, and changes nothing then', () => {
    const range = CompactRange.from(3, [bytes(root(2)), bytes(leafHashes[2] as string)]);
    expect(codeOf(() => range.append(Buffer.alloc(33)))).toBe('invalid-argument');
    expect([range.size, ...hex([range.root()])]).toEqual([3, root(3)]);
  });

  it('takes its last leaf at 2^53 - 2, and none after it', () => {
    const hash = bytes(root(1));
    const range = CompactRange.from(
      2 ** 53 - 2,
      Array.from({ length: 52 }, () => hash),
    );
    range.append(hash);
    expect(range.hashes()).toHaveLength(53);
    expect(codeOf(() => range.append(hash))).toBe('too-large');
    expect(range.size).toBe(2 ** 53 - 1);
  });

  it('is read from stored nodes at every size, by one call', async () => {
    for (const size of SIZES) {
      tree.calls.length = 0;
      const range = await readCompactRange(tree, size);
      expect([range.size, ...hex([range.root()])]).toEqual([size, root(size)]);
      expect(tree.calls).toHaveLength(size === 0 ? 0 : 1);
    }
  });
});

describe('an inclusion proof', () => {
  it('is the one of the definition, in all trees of up to 256 leaves, is read by one call, and is taken', async () => {
    for (const size of SIZES) {
      for (let index = 0; index < size; index += 1) {
        tree.calls.length = 0;
        const proof = await proveInclusion(tree, index, size);
        expect(hex(proof)).toEqual(path(index, size));
        expect(tree.calls).toHaveLength(size === 1 ? 0 : 1);
        checkInclusion(bytes(leafHashes[index] as string), index, proof, head(size));
      }
    }
  });

  it('is refused for every other leaf, index, size and root, and with a hash more or less', () => {
    for (const size of SIZES.slice(1, 34)) {
      for (let index = 0; index < size; index += 1) {
        const leaf = bytes(leafHashes[index] as string);
        const proof = path(index, size).map(bytes);
        const check = (changed: { leaf?: Uint8Array; index?: number; proof?: Uint8Array[]; head?: TreeHead }) =>
          codeOf(() => checkInclusion(changed.leaf ?? leaf, changed.index ?? index, changed.proof ?? proof, changed.head ?? head(size)));
        for (let other = 0; other < size; other += 1) if (other !== index) expect(check({ index: other })).toBe('wrong-proof');
        expect(check({ leaf: bytes(leafHashes[index + 1] as string) })).toBe('wrong-proof');
        expect(check({ head: head(size + 1) })).toBe('wrong-proof');
        expect(check({ head: { size, root: bytes(root(size - 1)) } })).toBe('wrong-proof');
        expect(check({ proof: [...proof, leaf] })).toBe('wrong-proof');
        if (size > 1) expect(check({ proof: proof.slice(0, -1) })).toBe('wrong-proof');
        if (size > 1) expect(check({ proof: proof.slice(1) })).toBe('wrong-proof');
      }
    }
  });

  it.each([
    ['at the tree’s size', 5, 5],
    ['below 0', -1, 5],
    ['that is no integer', 0.5, 5],
    ['in the empty tree', 0, 0],
    ['in a tree of 2^53 leaves', 0, 2 ** 53],
  ])('is neither made nor checked for an index %s', async (_, index, size) => {
    await expect(proveInclusion(tree, index, size)).rejects.toMatchObject({ code: 'invalid-argument' });
    expect(codeOf(() => checkInclusion(bytes(root(1)), index, [], { size, root: bytes(root(1)) }))).toBe('invalid-argument');
  });
});

describe('a consistency proof', () => {
  it('is the one of the definition, between all sizes up to 256, is read by at most one call, and is taken', async () => {
    for (const size of SIZES) {
      for (let old = 0; old <= size; old += 1) {
        tree.calls.length = 0;
        const proof = await proveConsistency(tree, old, size);
        expect(hex(proof)).toEqual(old === 0 ? [] : proofBetween(old, size));
        expect(tree.calls).toHaveLength(proof.length === 0 ? 0 : 1);
        checkConsistency(head(old), head(size), proof);
      }
    }
  });

  it('is refused for every other size and root, and with a hash more or less', () => {
    for (const size of SIZES.slice(2, 34)) {
      for (let old = 1; old < size; old += 1) {
        const proof = proofBetween(old, size).map(bytes);
        const check = (from: TreeHead, to: TreeHead, hashes = proof) => codeOf(() => checkConsistency(from, to, hashes));
        expect(check({ size: old, root: bytes(root(old - 1)) }, head(size))).toBe('wrong-proof');
        expect(check(head(old), { size, root: bytes(root(size + 1)) })).toBe('wrong-proof');
        expect(check(head(old), head(size + 1))).toBe('wrong-proof');
        expect(check(head(old), head(size), [...proof, bytes(root(1))])).toBe('wrong-proof');
        expect(check(head(old), head(size), proof.slice(0, -1))).toBe('wrong-proof');
        expect(check(head(old), head(size), proof.slice(1))).toBe('wrong-proof');
      }
    }
  });

  it.each<[string, TreeHead, TreeHead, string[], MerkleErrorCode]>([
    ['a smaller tree', head(5), head(4), [], 'wrong-size'],
    ['two roots of one size', head(5), { size: 5, root: bytes(root(4)) }, [], 'wrong-root'],
    ['a hash between equal trees', head(5), head(5), [root(1)], 'wrong-proof'],
    ['a hash from the empty tree', head(0), head(5), [root(1)], 'wrong-proof'],
    ['an empty tree with a root of its own', { size: 0, root: bytes(root(1)) }, head(5), [], 'wrong-root'],
    ['no hash between trees apart', head(5), head(6), [], 'wrong-proof'],
    ['no hash from a complete tree', head(4), head(6), [], 'wrong-proof'],
    ['a hash of 31 bytes', head(4), head(6), [root(1).slice(2)], 'invalid-argument'],
    ['half a leaf', { size: 0.5, root: bytes(root(1)) }, head(6), [], 'invalid-argument'],
  ])('is refused for %s', (_, old, next, proof, code) => {
    expect(codeOf(() => checkConsistency(old, next, proof.map(bytes)))).toBe(code);
  });

  it('is not made to a smaller tree', async () => {
    await expect(proveConsistency(tree, 5, 4)).rejects.toMatchObject({ code: 'invalid-argument' });
  });
});

describe('a node reader', () => {
  it.each([
    ['too few hashes', []],
    ['a hash of 31 bytes', [Buffer.alloc(31)]],
  ])('that answers with %s makes no proof', async (_, hashes) => {
    const reader: NodeReader = { readNodes: async () => hashes };
    await expect(proveInclusion(reader, 0, 2)).rejects.toMatchObject({ code: 'invalid-argument' });
  });

  it('that fails is heard', async () => {
    const failure = new Error('not reached');
    await expect(proveInclusion({ readNodes: () => Promise.reject(failure) }, 0, 2)).rejects.toBe(failure);
  });

  it('is asked for few nodes, and right ones, up to the last size there is', async () => {
    const size = 2 ** 53 - 1;
    const asked: NodeId[] = [];
    const reader: NodeReader = { readNodes: async (ids) => ids.map((id) => (asked.push(id), Buffer.alloc(32))) };
    expect(await proveInclusion(reader, size - 1, size)).toHaveLength(52);
    expect(await proveConsistency(reader, size - 1, size)).toHaveLength(53);
    expect(asked.every(({ level, index }) => (index + 1) * 2 ** level <= size)).toBe(true);
  });
});

describe('any flipped bit', () => {
  const bit = fc.nat(255);

  it('of a leaf, a root or a hash makes an inclusion proof fail', () => {
    const cases = fc.integer({ min: 2, max: MAX_SIZE }).chain((size) => fc.tuple(fc.constant(size), fc.nat(size - 1), fc.nat(), bit));
    fc.assert(
      fc.property(cases, ([size, index, which, at]) => {
        const parts = [bytes(leafHashes[index] as string), bytes(root(size)), ...path(index, size).map(bytes)];
        const [leaf, top, ...proof] = parts.map((part, place) => (place === which % parts.length ? flipBit(part, at) : part));
        expect(codeOf(() => checkInclusion(leaf as Buffer, index, proof, { size, root: top as Buffer }))).toBe('wrong-proof');
      }),
      { numRuns: 1000 },
    );
  });

  it('of a root or a hash makes a consistency proof fail', () => {
    const cases = fc
      .integer({ min: 2, max: MAX_SIZE })
      .chain((size) => fc.tuple(fc.constant(size), fc.integer({ min: 1, max: size - 1 }), fc.nat(), bit));
    fc.assert(
      fc.property(cases, ([size, old, which, at]) => {
        const parts = [bytes(root(old)), bytes(root(size)), ...proofBetween(old, size).map(bytes)];
        const [before, after, ...proof] = parts.map((part, place) => (place === which % parts.length ? flipBit(part, at) : part));
        const check = () => checkConsistency({ size: old, root: before as Buffer }, { size, root: after as Buffer }, proof);
        expect(codeOf(check)).toBe('wrong-proof');
      }),
      { numRuns: 1000 },
    );
  });
});

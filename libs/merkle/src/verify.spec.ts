import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { writeCheckpoint, type CheckpointPolicy } from './checkpoint.ts';
import { CompactRange } from './compact-range.ts';
import { COSIGNATURE_V1, cosigner } from './cosignature.ts';
import type { MerkleErrorCode } from './merkle-error.ts';
import { NaiveTree } from './naive-tree.fixture.ts';
import { NODE_CRYPTOGRAPHY } from './node-crypto.ts';
import { parseNote, signNote, writeNote } from './note.ts';
import { ED25519_NOTE, noteSigner, noteVerifier } from './note-key.ts';
import { writeInclusionDocument } from './proof-document.ts';
import { codeOf, flipBit } from './refusals.fixture.ts';
import { SHA256_TREE } from './tree-hasher.ts';
import { RecordVerifier, verifyConsistency, verifyInclusion, verifyInclusionDocument } from './verify.ts';

const SIZE = 64;
const ORIGIN = 'kms.example/audit/6835c2cd0f3e5a7b9c1d2e3f';
const bytes = (hex: string): Uint8Array => Buffer.from(hex, 'hex');
const records: readonly Uint8Array[] = Array.from({ length: SIZE }, (_, index) => Buffer.from(`record ${index}`));
const tree = new NaiveTree(records);
const head = (size: number) => ({ size, root: bytes(tree.mth(0, size)) });
const leafHash = (index: number) => bytes(tree.leafHashes[index] as string);

function keyPair(name: string, seed: number, type = ED25519_NOTE) {
  const key = NODE_CRYPTOGRAPHY.ed25519.signingKey(Buffer.alloc(32, seed));
  return { key, verifier: noteVerifier({ name, type: type.type, publicKey: key.publicKey }, [type]) };
}

const log = keyPair(ORIGIN, 1);
const nextLog = keyPair(ORIGIN, 2);
const witness = keyPair('witness.example', 3, COSIGNATURE_V1);
const policy: CheckpointPolicy = { origin: ORIGIN, logKeys: [log.verifier] };
const nextPolicy: CheckpointPolicy = { origin: ORIGIN, logKeys: [nextLog.verifier] };

async function signed(size: number, key = log.key): Promise<Uint8Array> {
  const text = writeCheckpoint({ origin: ORIGIN, ...head(size), extensions: [] });
  return writeNote(await signNote({ text, signatures: [] }, [noteSigner(ORIGIN, key)]));
}

const evidence = async (index: number, size: number) => ({
  record: records[index] as Uint8Array,
  index,
  proof: tree.path(index, 0, size).map(bytes),
  checkpoint: await signed(size),
});
const growth = async (old: number, size: number) => ({
  old: await signed(old),
  next: await signed(size),
  proof: old === 0 ? [] : tree.subproof(old, 0, size, true).map(bytes),
});

describe('verifyInclusion', () => {
  it('gives the checkpoint that a record is under', async () => {
    const { checkpoint } = verifyInclusion(await evidence(17, SIZE), policy);
    expect(checkpoint).toMatchObject({ origin: ORIGIN, size: SIZE });
  });

  it('refuses every flipped bit of the record, the proof and the checkpoint', async () => {
    const good = await evidence(5, 11);
    const refused = new Set<MerkleErrorCode | 'taken'>();
    const tryBits = (part: Uint8Array, verify: (changed: Buffer) => unknown) => {
      for (let bit = 0; bit < part.length * 8; bit += 1) refused.add(codeOf(() => verify(flipBit(part, bit))));
    };
    tryBits(good.record, (record) => verifyInclusion({ ...good, record }, policy));
    tryBits(good.checkpoint, (checkpoint) => verifyInclusion({ ...good, checkpoint }, policy));
    good.proof.forEach((hash, place) =>
      tryBits(hash, (changed) => verifyInclusion({ ...good, proof: good.proof.with(place, changed) }, policy)),
    );
    expect([...refused].sort()).toEqual(['bad-signature', 'format', 'untrusted', 'wrong-origin', 'wrong-proof']);
  });

  it.each<[string, MerkleErrorCode, object]>([
    ['another record', 'wrong-proof', { record: records[6] }],
    ['another index', 'wrong-proof', { index: 6 }],
    ['an index outside of the tree', 'invalid-argument', { index: 11 }],
    ['a leaf hash as the record', 'wrong-proof', { record: leafHash(5) }],
  ])('refuses %s', async (_, code, changes) => {
    const good = await evidence(5, 11);
    expect(codeOf(() => verifyInclusion({ ...good, ...changes }, policy))).toBe(code);
  });

  it('refuses a checkpoint signed by a key that is not the log’s', async () => {
    const good = await evidence(5, 11);
    expect(codeOf(() => verifyInclusion(good, nextPolicy))).toBe('untrusted');
  });

  it('takes the same from one document, and refuses every flipped bit of it', async () => {
    const { index, proof, checkpoint, record } = await evidence(5, 11);
    const document = writeInclusionDocument({ index, proof, checkpoint: parseNote(checkpoint) });
    expect(verifyInclusionDocument(record, document, policy).checkpoint.size).toBe(11);
    for (let bit = 0; bit < document.length * 8; bit += 1) {
      expect(codeOf(() => verifyInclusionDocument(record, flipBit(document, bit), policy))).not.toBe('taken');
    }
  });
});

describe('verifyConsistency', () => {
  it.each([
    [0, 5],
    [5, 5],
    [5, 11],
    [32, 64],
  ])('gives the newer checkpoint, from %i to %i', async (old, size) => {
    expect(verifyConsistency(await growth(old, size), policy).checkpoint.size).toBe(size);
  });

  it('refuses every flipped bit of the proof and of both checkpoints', async () => {
    const good = await growth(5, 11);
    const parts: [Uint8Array, (changed: Buffer) => object][] = [
      [good.old, (old) => ({ old })],
      [good.next, (next) => ({ next })],
      ...good.proof.map((hash, place): [Uint8Array, (changed: Buffer) => object] => [
        hash,
        (changed) => ({ proof: good.proof.with(place, changed) }),
      ]),
    ];
    for (const [part, change] of parts) {
      for (let bit = 0; bit < part.length * 8; bit += 1) {
        expect(codeOf(() => verifyConsistency({ ...good, ...change(flipBit(part, bit)) }, policy))).not.toBe('taken');
      }
    }
  });

  it('refuses an older checkpoint that is played back', async () => {
    const { old, next } = await growth(5, 11);
    expect(codeOf(() => verifyConsistency({ old: next, next: old, proof: [] }, policy))).toBe('wrong-size');
  });

  it('refuses a fork of the same size, though the log signed it', async () => {
    const text = writeCheckpoint({ origin: ORIGIN, size: 5, root: head(6).root, extensions: [] });
    const fork = writeNote(await signNote({ text, signatures: [] }, [noteSigner(ORIGIN, log.key)]));
    expect(codeOf(() => verifyConsistency({ old: fork, next: fork, proof: [] }, policy))).toBe('taken');
    const old = await signed(5);
    expect(codeOf(() => verifyConsistency({ old, next: fork, proof: [] }, policy))).toBe('wrong-root');
  });

  it('spans a rotation of the log’s key, by a policy for each checkpoint', async () => {
    const { old, proof } = await growth(5, 11);
    const next = await signed(11, nextLog.key);
    expect(codeOf(() => verifyConsistency({ old, next, proof }, policy))).toBe('untrusted');
    expect(verifyConsistency({ old, next, proof }, nextPolicy, policy).checkpoint.size).toBe(11);
  });

  it('is not asked about two logs', async () => {
    const both = await growth(5, 11);
    expect(codeOf(() => verifyConsistency(both, policy, { ...policy, origin: 'other.example' }))).toBe('invalid-argument');
  });
});

describe('a cosigner', () => {
  const checkpoint = parseNote(Buffer.from(`${writeCheckpoint({ origin: ORIGIN, ...head(5), extensions: [] })}\n— a AAAAAAA=\n`));

  it('makes what the policy asks for, by the time of its clock', async () => {
    const note = await signNote(checkpoint, [noteSigner(ORIGIN, log.key), cosigner('witness.example', witness.key, () => 1_790_000_000)]);
    const asked = { ...policy, witnesses: [witness.verifier], quorum: 1 };
    const proof = tree.path(2, 0, 5).map(bytes);
    const { signatures } = verifyInclusion({ record: records[2] as Uint8Array, index: 2, proof, checkpoint: writeNote(note) }, asked);
    expect(signatures.map(({ name }) => name)).toEqual([ORIGIN, 'witness.example']);
  });

  it.each([[-1], [0.5], [2 ** 53], [Number.NaN]])('does not sign at the time %d', async (time) => {
    const signing = signNote(checkpoint, [cosigner('witness.example', witness.key, () => time)]);
    await expect(signing).rejects.toMatchObject({ code: 'invalid-argument' });
  });

  it('hands on the failure of its key', async () => {
    const failure = new Error('the device is gone');
    const key = { publicKey: witness.key.publicKey, sign: () => Promise.reject(failure) };
    await expect(signNote(checkpoint, [cosigner('witness.example', key, () => 0)])).rejects.toBe(failure);
  });
});

describe('RecordVerifier', () => {
  const verifierOf = (list: readonly Uint8Array[]) => {
    const verifier = new RecordVerifier();
    for (const record of list) verifier.add(record);
    return verifier;
  };

  it('finds every tree in the records, in one pass', () => {
    const verifier = new RecordVerifier();
    verifier.check(head(0));
    for (const [index, record] of records.entries()) {
      verifier.add(record, leafHash(index));
      verifier.check(head(index + 1));
    }
  });

  it('goes on behind a range that was kept', () => {
    const kept = CompactRange.empty();
    for (const record of records.slice(0, 21)) kept.append(SHA256_TREE.leaf(record));
    const verifier = new RecordVerifier(SHA256_TREE, CompactRange.from(21, kept.hashes()));
    for (const record of records.slice(21)) verifier.add(record);
    verifier.check(head(SIZE));
  });

  it('names the record that is not the log’s, and has not taken it', () => {
    const verifier = verifierOf(records.slice(0, 3));
    expect(() => verifier.add(Buffer.from('another'), leafHash(3))).toThrow(
      expect.objectContaining({ code: 'wrong-record', message: 'The record at index 3 is not the one that the log has there.' }),
    );
    expect(verifier.size).toBe(3);
    verifier.check(head(3));
  });

  it('refuses records that were edited, swapped, left out, inserted, doubled or cut', () => {
    const index = fc.nat(SIZE - 2);
    const wrong = fc.oneof(
      fc
        .tuple(index, fc.nat())
        .map(([at, bit]) => records.with(at, flipBit(records[at] as Uint8Array, bit % ((records[at] as Uint8Array).length * 8)))),
      index.map((at) => records.with(at, records[at + 1] as Uint8Array).with(at + 1, records[at] as Uint8Array)),
      index.map((at) => records.toSpliced(at, 1)),
      index.map((at) => records.toSpliced(at, 1, Buffer.from('new'))),
      index.map((at) => records.toSpliced(at, 0, Buffer.from('new'))),
      index.map((at) => records.toSpliced(at, 0, records[at] as Uint8Array)),
      index.map((at) => records.slice(0, at)),
    );
    fc.assert(fc.property(wrong, (list) => ['wrong-size', 'wrong-root'].includes(codeOf(() => verifierOf(list).check(head(SIZE))))));
  });

  it.each([[SIZE - 1], [SIZE + 1]])('tells that %i records are not the number that the tree has', (count) => {
    const verifier = verifierOf([...records, Buffer.from('new')].slice(0, count));
    expect(codeOf(() => verifier.check(head(SIZE)))).toBe('wrong-size');
  });

  it('hashes records of any length', () => {
    for (const length of [0, 1, 65_535, 65_536, 65_537, 200_000]) {
      const record = Buffer.alloc(length, 7);
      verifierOf([record]).check({ size: 1, root: bytes(new NaiveTree([record]).mth(0, 1)) });
    }
  });
});

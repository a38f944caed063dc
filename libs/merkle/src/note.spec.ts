import { describe, expect, it } from '@jest/globals';
import { writeCheckpoint } from './checkpoint.ts';
import { cosignatureTime } from './cosignature.ts';
import { writeEntryBundle } from './entry-bundle.ts';
import { MerkleError, type MerkleErrorCode } from './merkle-error.ts';
import { NODE_CRYPTOGRAPHY } from './node-crypto.ts';
import { signNote, verifiedSignatures, writeNote, type Note, type NoteSignature } from './note.ts';
import {
  ED25519_NOTE,
  noteSigner,
  noteVerifier,
  parseSignerKey,
  writeSignerKey,
  writeVerifierKey,
  type NoteVerifier,
  type SignatureType,
} from './note-key.ts';
import { writeAddCheckpoint, writeInclusionDocument } from './proof-document.ts';
import { codeOf } from './refusals.fixture.ts';

const signature: NoteSignature = { name: 'a', keyId: 1, signature: Buffer.alloc(64) };
const note: Note = { text: 'log.example\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n', signatures: [signature] };
const checkpoint = { origin: 'log.example', size: 5, root: Buffer.alloc(32), extensions: [] as string[] };
const signedBy = (changes: Partial<NoteSignature>) => writeNote({ ...note, signatures: [{ ...signature, ...changes }] });

describe('writing', () => {
  it.each<[string, MerkleErrorCode, () => unknown]>([
    ['a note without signatures', 'format', () => writeNote({ ...note, signatures: [] })],
    ['a note with 101 signatures', 'too-large', () => writeNote({ ...note, signatures: Array.from({ length: 101 }, () => signature) })],
    ['a text without a line feed at its end', 'format', () => writeNote({ ...note, text: 'x' })],
    ['no text', 'format', () => writeNote({ ...note, text: '' })],
    ['a text with a tab', 'format', () => writeNote({ ...note, text: 'a\tb\n' })],
    ['a text with a lone surrogate', 'format', () => writeNote({ ...note, text: '\ud800\n' })],
    ['a signature by nobody', 'format', () => signedBy({ name: '' })],
    ['a signature by a name with a line feed', 'format', () => signedBy({ name: 'a\nb' })],
    ['a signature by a name with a lone surrogate', 'format', () => signedBy({ name: '\udc00' })],
    ['a signature of no bytes', 'format', () => signedBy({ signature: Buffer.alloc(0) })],
    ['a key id of 33 bits', 'format', () => signedBy({ keyId: 2 ** 32 })],
    ['a negative key id', 'format', () => signedBy({ keyId: -1 })],
    ['an empty origin', 'format', () => writeCheckpoint({ ...checkpoint, origin: '' })],
    ['an origin of two lines', 'format', () => writeCheckpoint({ ...checkpoint, origin: 'a\nb' })],
    ['an origin with a lone surrogate', 'format', () => writeCheckpoint({ ...checkpoint, origin: '\ud800' })],
    ['an empty extension line', 'format', () => writeCheckpoint({ ...checkpoint, extensions: [''] })],
    ['a negative size', 'invalid-argument', () => writeCheckpoint({ ...checkpoint, size: -1 })],
    ['a root of 31 bytes', 'invalid-argument', () => writeCheckpoint({ ...checkpoint, root: Buffer.alloc(31) })],
    ['a key without a name', 'format', () => writeVerifierKey({ name: '', type: 1, publicKey: Buffer.alloc(32) })],
    ['a key whose type is no byte', 'format', () => writeVerifierKey({ name: 'a', type: 256, publicKey: Buffer.alloc(32) })],
    ['a seed of 31 bytes', 'format', () => writeSignerKey({ name: 'a', type: 1, seed: Buffer.alloc(31) })],
    ['a record of 65,536 bytes', 'too-large', () => writeEntryBundle([Buffer.alloc(65_536)])],
    ['a bundle of no records', 'invalid-argument', () => writeEntryBundle([])],
    ['a bundle of 257 records', 'invalid-argument', () => writeEntryBundle(Array.from({ length: 257 }, () => Buffer.alloc(0)))],
    ['a proof at a negative index', 'invalid-argument', () => writeInclusionDocument({ index: -1, proof: [], checkpoint: note })],
    [
      'a proof with empty extra data',
      'format',
      () => writeInclusionDocument({ extra: Buffer.alloc(0), index: 0, proof: [], checkpoint: note }),
    ],
    [
      'a proof of a note that is no checkpoint',
      'format',
      () => writeInclusionDocument({ index: 0, proof: [], checkpoint: { ...note, text: 'x\n' } }),
    ],
    ['a hash of 33 bytes', 'invalid-argument', () => writeAddCheckpoint({ oldSize: 0, proof: [Buffer.alloc(33)], checkpoint: note })],
    [
      '64 hashes',
      'too-large',
      () => writeAddCheckpoint({ oldSize: 0, proof: Array.from({ length: 64 }, () => Buffer.alloc(32)), checkpoint: note }),
    ],
    ['half an old size', 'invalid-argument', () => writeAddCheckpoint({ oldSize: 0.5, proof: [], checkpoint: note })],
  ])('%s is refused', (_, code, write) => {
    expect(codeOf(write)).toBe(code);
  });

  it('records of 0 and of 65,535 bytes is not', () => {
    expect(writeEntryBundle([Buffer.alloc(0), Buffer.alloc(65_535, 1)]).subarray(0, 5)).toEqual(Uint8Array.of(0, 0, 255, 255, 1));
  });
});

describe('a private key', () => {
  it('is quoted by no error', () => {
    const text = writeSignerKey({ name: 'a', type: 1, seed: Buffer.alloc(32, 9) });
    const key = text.split('+').at(-1) as string;
    for (const wrong of [text.slice(1), `${text}=`, text.replace('+a+', '+b+'), key]) {
      expect(() => parseSignerKey(wrong)).toThrow(MerkleError);
      expect(() => parseSignerKey(wrong)).not.toThrow(key.slice(4, 12));
    }
  });
});

describe('a signature type of one’s own', () => {
  /** Signs with the first byte of the key. */
  const TOY: SignatureType = {
    type: 0xf0,
    publicKeyBytes: 3,
    verifier:
      ([first]) =>
      (_, [byte]) =>
        byte === first,
  };
  const key = { name: 'toy.example', type: 0xf0, publicKey: Uint8Array.of(7, 8, 9) };
  const toy = noteVerifier(key, [ED25519_NOTE, TOY]);
  const signed = (byte: number): Note => ({ ...note, signatures: [{ ...toy, signature: Uint8Array.of(byte) }] });

  it('is asked about its signatures', () => {
    expect(verifiedSignatures(signed(7), [toy])).toHaveLength(1);
    expect(codeOf(() => verifiedSignatures(signed(8), [toy]))).toBe('bad-signature');
  });

  it('is not known unless it is given, and has keys of its own length', () => {
    expect(codeOf(() => noteVerifier(key, [ED25519_NOTE]))).toBe('unknown-key-type');
    expect(codeOf(() => noteVerifier({ ...key, publicKey: Uint8Array.of(7) }, [TOY]))).toBe('format');
  });
});

describe('signing', () => {
  const signingKey = NODE_CRYPTOGRAPHY.ed25519.signingKey(Buffer.alloc(32, 1));
  const verifierOf = (name: string): NoteVerifier => noteVerifier({ name, type: 1, publicKey: signingKey.publicKey }, [ED25519_NOTE]);

  it('keeps the signatures there are, those of strangers too, and adds to them', async () => {
    const signed = await signNote(note, [noteSigner('log.example', signingKey), noteSigner('other.example', signingKey)]);
    expect(signed.signatures.map(({ name }) => name)).toEqual(['a', 'log.example', 'other.example']);
    expect(verifiedSignatures(signed, [verifierOf('other.example')])).toEqual([signed.signatures[2]]);
    expect(note.signatures).toHaveLength(1);
  });

  it('refuses what is no text, and hands on the failure of a key', async () => {
    await expect(signNote({ ...note, text: 'x' }, [])).rejects.toMatchObject({ code: 'format' });
    const failure = new Error('the device is gone');
    const broken = { publicKey: signingKey.publicKey, sign: () => Promise.reject(failure) };
    await expect(signNote(note, [noteSigner('a', broken)])).rejects.toBe(failure);
  });
});

describe('cosignatureTime', () => {
  it.each([
    ['71 bytes', Buffer.alloc(71)],
    ['a time above 2^53 - 1', Buffer.concat([Buffer.from('0020000000000000', 'hex'), Buffer.alloc(64)])],
  ])('is not told by %s', (_, bytes) => {
    expect(codeOf(() => cosignatureTime(bytes))).toBe('format');
  });
});

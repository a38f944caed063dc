import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { decodeUtf8 } from './canonical-text.ts';
import { parseCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { parseEntryBundle, writeEntryBundle } from './entry-bundle.ts';
import { MerkleError } from './merkle-error.ts';
import { parseNote, parseSignatureLines, writeNote, writeSignatureLines, type Note } from './note.ts';
import { parseSignerKey, parseVerifierKey, writeSignerKey, writeVerifierKey } from './note-key.ts';
import { parseAddCheckpoint, parseInclusionDocument, writeAddCheckpoint, writeInclusionDocument } from './proof-document.ts';
import { parseTilePath, tilePath, type Tile } from './tile.ts';

/*
 * For every format: what is written is read again as it was, and whatever is read, however it came about, is written again byte for byte. The
 * second is tried on texts that are almost right, since random ones are all refused.
 */

const utf8 = (text: string) => Buffer.from(text, 'utf8');
const plain = (bytes: Uint8Array) => new Uint8Array(bytes);

const bytesOf = (minLength: number, maxLength = minLength) => fc.uint8Array({ minLength, maxLength }).map(plain);
const size = fc.oneof(fc.nat(1000), fc.maxSafeNat(), fc.constant(Number.MAX_SAFE_INTEGER));
const hash = bytesOf(32);
const printable = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
  fc.constantFrom('— a AAAAAAA=', '\ufeff', 'ö ü', '0', 'old 3', '\u0085'),
);
const line = printable.filter((text) => text.isWellFormed() && /^[ -\u{10ffff}]+$/u.test(text));
const name = line.map((text) => text.replace(/[\p{White_Space}+]/gu, '') || 'x');
const signature = fc.record({ name, keyId: fc.nat(0xffffffff), signature: bytesOf(1, 80) });
const signatures = fc.array(signature, { minLength: 1, maxLength: 5 });
const checkpoint = fc.record({ origin: line, size, root: hash, extensions: fc.array(line, { maxLength: 2 }) });
const signedCheckpoint = fc.record({ text: checkpoint.map(writeCheckpoint), signatures });
const anyNote = fc.record({
  text: fc.array(fc.oneof(line, fc.constant('')), { maxLength: 4 }).map((lines) => `${lines.join('\n')}\n`),
  signatures,
});
const proof = fc.array(hash, { maxLength: 4 });
const inclusionDocument = fc.record(
  { extra: bytesOf(1, 40), index: size, proof, checkpoint: signedCheckpoint },
  { requiredKeys: ['index', 'proof', 'checkpoint'] },
);
const addCheckpoint = fc.record({ oldSize: size, proof, checkpoint: signedCheckpoint });
const level = fc.oneof(fc.nat(63), fc.constant('entries' as const));
const tile: fc.Arbitrary<Tile> = fc.record({ level, index: size, width: fc.integer({ min: 1, max: 256 }) });
const verifierKey = fc.record({ name, type: fc.nat(255), publicKey: bytesOf(1, 40) });
const signerKey = fc.record({ name, type: fc.nat(255), seed: hash });
const bundle = fc.array(bytesOf(0, 300), { minLength: 1, maxLength: 256 });
/** Bundles are read by a width, which stands elsewhere; here before them. */
const writeBundle = (entries: Uint8Array[]) => Buffer.concat([Buffer.of(entries.length - 1), writeEntryBundle(entries)]);
const parseBundle = (bytes: Uint8Array) => parseEntryBundle(bytes.subarray(1), (bytes[0] ?? 0) + 1).map(plain);

interface Format<T> {
  values: fc.Arbitrary<T>;
  write(value: T): Uint8Array;
  parse(bytes: Uint8Array): T;
}
const format = <T>(
  title: string,
  values: fc.Arbitrary<T>,
  write: (value: T) => Uint8Array,
  parse: (bytes: Uint8Array) => T,
): [string, Format<unknown>] => [title, { values, write, parse } as Format<unknown>];
const textFormat = <T>(title: string, values: fc.Arbitrary<T>, write: (value: T) => string, parse: (text: string) => T) =>
  format(
    title,
    values,
    (value) => utf8(write(value)),
    (bytes) => parse(decodeUtf8(bytes)),
  );

const FORMATS = [
  format<Note>('a signed note', anyNote, writeNote, parseNote),
  format('signature lines', signatures, writeSignatureLines, parseSignatureLines),
  textFormat('a checkpoint', checkpoint, writeCheckpoint, parseCheckpoint),
  textFormat('a verifier key', verifierKey, writeVerifierKey, parseVerifierKey),
  textFormat('a signer key', signerKey, writeSignerKey, parseSignerKey),
  textFormat('a tile path', tile, tilePath, parseTilePath),
  format('an entry bundle', bundle, writeBundle, parseBundle),
  format('a tlog-proof', inclusionDocument, writeInclusionDocument, parseInclusionDocument),
  format('an add-checkpoint request', addCheckpoint, writeAddCheckpoint, parseAddCheckpoint),
];

/** What replaces some bytes of a text that is right: what the formats are made of, and what they are confused by. */
const SPLINTERS = [
  '',
  '\n',
  '\n\n',
  '\r',
  ' ',
  '  ',
  '+',
  '=',
  '==',
  '-',
  '—',
  '— ',
  '/',
  '_',
  '0',
  '00',
  '1',
  'x',
  'A',
  'B',
  '.p/',
  'old ',
  'index ',
  'extra ',
  '\ufeff',
  '\u00a0',
  '\0',
];
const splinter = fc.oneof(
  fc.constantFrom(...SPLINTERS).map(utf8),
  bytesOf(1, 3).map((bytes) => Buffer.from(bytes)),
);
const damage = fc.record({ at: fc.nat(), cut: fc.nat(3), splinter });

function damaged(bytes: Uint8Array, damages: readonly { at: number; cut: number; splinter: Buffer }[]): Buffer {
  return damages.reduce((text, { at, cut, splinter: put }) => {
    const place = at % (text.length + 1);
    return Buffer.concat([text.subarray(0, place), put, text.subarray(place + cut)]);
  }, Buffer.from(bytes));
}

describe.each(FORMATS)('%s', (_, { values, write, parse }) => {
  it('that is written is read as it was', () => {
    fc.assert(fc.property(values, (value) => expect(parse(write(value))).toEqual(value)));
  });

  it('that is read, damaged as it may be, is written as it was', () => {
    let taken = 0;
    fc.assert(
      fc.property(values, fc.array(damage, { maxLength: 2 }), (value, damages) => {
        const bytes = damaged(write(value), damages);
        const again = rewritten(bytes, parse, write);
        if (again === null) return;
        taken += 1;
        expect(again).toEqual(bytes);
      }),
      { numRuns: 2000 },
    );
    expect(taken).toBeGreaterThan(0);
  });
});

/** The bytes after reading and writing, or `null` where they are refused. */
function rewritten(bytes: Uint8Array, parse: (bytes: Uint8Array) => unknown, write: (value: unknown) => Uint8Array): Buffer | null {
  try {
    return Buffer.from(write(parse(bytes)));
  } catch (error) {
    if (error instanceof MerkleError) return null;
    throw error;
  }
}

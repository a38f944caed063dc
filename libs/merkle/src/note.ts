import { concatBytes, decodeBase64, decodeUtf8, encodeBase64, encodeUtf8, malformed, requireLine, splitLines } from './canonical-text.ts';
import { MerkleError } from './merkle-error.ts';
import type { NoteSigner, NoteVerifier } from './note-key.ts';

/*
 * Signed notes, https://c2sp.org/signed-note: a text, an empty line, and a line for each signature.
 */

/** One signature line. Nothing is known of it until it was verified. */
export interface NoteSignature {
  readonly name: string;
  /** From 0 to 2^32 - 1. With the name it tells which key signed, and how. */
  readonly keyId: number;
  /** What the key's signature type makes of it; at least one byte. */
  readonly signature: Uint8Array;
}

/** A text, which ends with a line feed, and its signatures in their order. */
export interface Note {
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** As many signatures as a note may have, so that checking one has a bound. */
export const MAX_SIGNATURES = 100;

const KEY_ID_BYTES = 4;
const SEPARATOR = '\n\n';
const SIGNATURE_LINE = /^— ([^ ]+) ([^ ]+)$/u;
const KEY_NAME = /^[^\p{White_Space}+]+$/u;
const TEXT = /^[\n -\u{10ffff}]*\n$/u;

/**
 * Reads a signed note, and verifies nothing. Throws a {@link MerkleError}: `format`, or `too-large` for more than {@link MAX_SIGNATURES}
 * signatures. What it takes, {@link writeNote} writes again byte for byte.
 */
export function parseNote(bytes: Uint8Array): Note {
  const note = decodeUtf8(bytes);
  const end = note.lastIndexOf(SEPARATOR);
  if (end < 0) throw malformed('A note must have an empty line before its signatures.');
  return { text: requireText(note.slice(0, end + 1)), signatures: parseLines(note.slice(end + SEPARATOR.length)) };
}

/** Writes a signed note. Throws a {@link MerkleError} for what {@link parseNote} would not take: `format` or `too-large`. */
export function writeNote({ text, signatures }: Note): Uint8Array {
  return encodeUtf8(`${requireText(text)}\n${writeLines(signatures)}`);
}

/** Reads signature lines alone, at least one: what a witness answers with. Throws a {@link MerkleError} as {@link parseNote} does. */
export function parseSignatureLines(bytes: Uint8Array): NoteSignature[] {
  return parseLines(decodeUtf8(bytes));
}

/** Writes what {@link parseSignatureLines} reads. Throws a {@link MerkleError}: `format` or `too-large`. */
export function writeSignatureLines(signatures: readonly NoteSignature[]): Uint8Array {
  return encodeUtf8(writeLines(signatures));
}

/**
 * Which of the note's signatures these keys made, in the note's order. Signatures of other keys are left out: that is how keys are rotated
 * and witnesses added. Throws a {@link MerkleError}: `bad-signature` when one that is in the name of these keys does not verify,
 * `invalid-argument` when two of the keys have the same name and id, so that nobody could tell whose signature it is.
 */
export function verifiedSignatures(note: Note, keys: readonly NoteVerifier[]): NoteSignature[] {
  const known = new Map(keys.map((key) => [nameOf(key), key]));
  if (known.size < keys.length) throw new MerkleError('invalid-argument', 'Each key must be named once.');
  const text = encodeUtf8(requireText(note.text));
  return note.signatures.filter((signature) => {
    const key = known.get(nameOf(signature));
    if (key && !key.verify(text, signature.signature))
      throw new MerkleError('bad-signature', 'A signature is not by the key that it names.');
    return key !== undefined;
  });
}

/** The note with a signature of each signer behind those that it has. Throws `format` for a text that is none; a signer's error passes on. */
export async function signNote(note: Note, signers: readonly NoteSigner[]): Promise<Note> {
  const text = encodeUtf8(requireText(note.text));
  const made = await Promise.all(
    signers.map(async (signer) => ({ name: signer.name, keyId: signer.keyId, signature: await signer.sign(text) })),
  );
  return { text: note.text, signatures: [...note.signatures, ...made] };
}

/** The name itself, once it is known to be a key's: not empty, without white space, control characters and plus signs. Throws `format`. */
export function requireKeyName(name: string): string {
  if (!KEY_NAME.test(requireLine(name))) throw malformed('A key name must not have white space or a plus sign.');
  return name;
}

function parseLines(text: string): NoteSignature[] {
  return requireFew(splitLines(text)).map(parseLine);
}

function writeLines(signatures: readonly NoteSignature[]): string {
  if (signatures.length === 0) throw malformed('A note must have a signature.');
  return requireFew(signatures).map(writeLine).join('');
}

function parseLine(line: string): NoteSignature {
  const [, name = '', base64 = ''] = SIGNATURE_LINE.exec(line) ?? [];
  const bytes = decodeBase64(base64);
  if (bytes.length <= KEY_ID_BYTES) throw malformed('A signature line must have a name, a key id and a signature.');
  const keyId = new DataView(bytes.buffer).getUint32(0);
  return { name: requireKeyName(name), keyId, signature: bytes.subarray(KEY_ID_BYTES) };
}

function writeLine({ name, keyId, signature }: NoteSignature): string {
  if (signature.length === 0) throw malformed('A signature must not be empty.');
  const id = new Uint8Array(KEY_ID_BYTES);
  new DataView(id.buffer).setUint32(0, requireKeyId(keyId));
  return `— ${requireKeyName(name)} ${encodeBase64(concatBytes(id, signature))}\n`;
}

function requireKeyId(keyId: number): number {
  if (keyId !== keyId >>> 0) throw malformed('A key id must be an integer of 32 bits.');
  return keyId;
}

function requireText(text: string): string {
  if (!TEXT.test(text)) throw malformed('A note’s text must end with a line feed, and have no other control character.');
  return text;
}

function requireFew<T>(signatures: readonly T[]): readonly T[] {
  if (signatures.length > MAX_SIGNATURES) throw new MerkleError('too-large', `A note has at most ${MAX_SIGNATURES} signatures.`);
  return signatures;
}

function nameOf({ name, keyId }: { name: string; keyId: number }): string {
  return `${name}+${keyId}`;
}

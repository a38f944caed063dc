import { MerkleError } from './merkle-error.ts';
import { HASH_BYTES } from './tree-hasher.ts';

/*
 * The C2SP formats are lines of text. Every value has one spelling here, and everything else is refused: so bytes that were read are written
 * again as they were, and nobody can alter a signed or hashed text without altering what it says.
 */

const DECIMAL = /^(?:0|[1-9][0-9]*)$/;
/** A line that is not empty, and has no ASCII control character. */
const LINE = /^[ -\u{10ffff}]+$/u;

const utf8 = new TextEncoder();
// Without `ignoreBOM` the decoder would drop a byte order mark, and two byte strings would give one text.
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A `format` {@link MerkleError}; the sentence says what was expected. */
export function malformed(sentence: string, options?: ErrorOptions): MerkleError {
  return new MerkleError('format', sentence, options);
}

/** The text of UTF-8 bytes. Throws `format` for bytes that are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch (cause) {
    throw malformed('The bytes must be UTF-8.', { cause });
  }
}

/** The bytes of a text. Throws `format` for a lone surrogate, which UTF-8 cannot write. */
export function encodeUtf8(text: string): Uint8Array {
  if (!text.isWellFormed()) throw malformed('A text must be well-formed Unicode.');
  return utf8.encode(text);
}

/** The lines of a text in which each ends with a line feed. Throws `format` when the last one does not. */
export function splitLines(text: string): string[] {
  if (!text.endsWith('\n')) throw malformed('Every line must end with a line feed.');
  return text.slice(0, -1).split('\n');
}

/** The line itself, once it is known to be one: not empty, well-formed, without control characters. Throws `format`. */
export function requireLine(line: string): string {
  if (!LINE.test(line) || !line.isWellFormed()) throw malformed('A line must not be empty, and must not have control characters.');
  return line;
}

/** Reads a number from 0 in decimal, without leading zeros. Throws `format`, or `too-large` above 2^53 - 1. */
export function parseDecimal(text: string): number {
  if (!DECIMAL.test(text)) throw malformed('A number must be written in decimal, without leading zeros.');
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new MerkleError('too-large', 'Numbers above 2^53 - 1 are not supported.');
  return value;
}

/** Writes bytes in standard base64 (RFC 4648, section 4), with padding. */
export function encodeBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}

/** Reads what {@link encodeBase64} writes, and nothing else. Throws `format`. */
export function decodeBase64(text: string): Uint8Array {
  const bytes = decodeLeniently(text);
  // The decoder takes white space, missing padding and stray bits, so only what would be written again is taken.
  if (bytes === null || encodeBase64(bytes) !== text) throw malformed('Bytes must be written in standard base64, with padding.');
  return bytes;
}

/** Reads a hash of 32 bytes in base64. Throws `format`. */
export function parseHash(text: string): Uint8Array {
  const hash = decodeBase64(text);
  if (hash.length !== HASH_BYTES) throw malformed(`A hash must have ${HASH_BYTES} bytes.`);
  return hash;
}

function decodeLeniently(text: string): Uint8Array | null {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch (error) {
    if (error instanceof DOMException) return null;
    throw error;
  }
}

/** The byte strings one after another. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

import { hkdfSync, randomBytes } from 'node:crypto';
import { EnvelopeError } from './envelope-error.ts';

/** Length of every key here: AES-256, in bytes. */
export const KEY_BYTES = 32;
/** Length of a key's id, in bytes; as text it is 24 lower-case hexadecimal digits. */
export const KEY_ID_BYTES = 12;
/** Length of a key commitment, in bytes. */
export const COMMITMENT_BYTES = 32;

/**
 * How many wraps a key may make before it retires. NIST SP 800-38D, section 8.3, allows 2^32 encryptions under one key with random 96-bit
 * nonces, so that two of them share a nonce with a probability of at most 2^-32; half of that leaves room for a count that lags behind.
 * This library keeps no count: whoever stores the wraps MUST.
 */
export const KEY_WRAP_LIMIT = 2 ** 31;

/** `length` bytes from a cryptographic random generator. Nonces and keys come from it, so anything weaker breaks every record. */
export type RandomBytes = (length: number) => Uint8Array;

export const systemRandomBytes: RandomBytes = (length) => randomBytes(length);

/** A new random key of 32 bytes. */
export function generateKey(random: RandomBytes = systemRandomBytes): Buffer {
  return Buffer.from(random(KEY_BYTES));
}

/** Overwrites a key with zeros, once it is not needed any more, so that no later dump of the memory holds it. */
export function zeroize(key: Uint8Array): void {
  key.fill(0);
}

/** Throws an `invalid-argument` {@link EnvelopeError} unless a key has 32 bytes. */
export function requireKey(key: Uint8Array): void {
  if (key.length !== KEY_BYTES) throw new EnvelopeError('invalid-argument', `A key must have ${KEY_BYTES} bytes.`);
}

/**
 * `length` bytes derived from a key for one purpose: HKDF-SHA256 (RFC 5869) with an empty salt. They may be stored in the clear, since the
 * key is uniformly random with 256 bits, and HKDF is one-way.
 */
export function deriveFromKey(key: Uint8Array, purpose: 'key-commitment' | 'root-key-id', length: number): Buffer {
  requireKey(key);
  return Buffer.from(hkdfSync('sha256', key, new Uint8Array(0), `donutwork-kms/v1/${purpose}`, length));
}

/**
 * What ties a record to one key: AES-GCM alone does not, since two keys can be found under which the same bytes open to two contents.
 * No two keys with the same commitment can be found, because SHA-256 is collision-resistant.
 */
export function keyCommitment(key: Uint8Array): Buffer {
  return deriveFromKey(key, 'key-commitment', COMMITMENT_BYTES);
}

import { createCipheriv, createDecipheriv, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto';
import { id } from './context.ts';
import { EnvelopeError } from './envelope-error.ts';
import { COMMITMENT_BYTES, KEY_ID_BYTES, keyCommitment, requireKey, type RandomBytes } from './key.ts';

/*
 * The layout that both sealed formats share; offsets and lengths in bytes, n is the plaintext's length:
 *
 *   offset   length   field
 *        0        4   format name, ASCII: "dkw1" a wrapped key, "dkc1" a sealed content
 *        4       12   id of the key that it is sealed under
 *       16       12   nonce, random
 *       28       32   commitment to the key: HKDF-SHA256, empty salt, info "donutwork-kms/v1/key-commitment"
 *       60        n   ciphertext, AES-256-GCM (NIST SP 800-38D)
 *   60 + n       16   tag
 *
 * A record has no field for its own length: it ends where its bytes end. Every byte is held: the format name and the key's id stand in the
 * associated data and are compared, the commitment is recomputed, and the tag covers the rest.
 */
const CIPHER = 'aes-256-gcm';
const NAME_BYTES = 4;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const NONCE_START = NAME_BYTES + KEY_ID_BYTES;
const COMMITMENT_START = NONCE_START + NONCE_BYTES;
const CIPHERTEXT_START = COMMITMENT_START + COMMITMENT_BYTES;

/** How much longer a record is than its plaintext, in bytes. */
export const RECORD_OVERHEAD_BYTES = CIPHERTEXT_START + TAG_BYTES;

export type FormatName = 'dkw1' | 'dkc1';

/** The key that a record is sealed under, and what it is bound to. */
interface Sealing {
  format: FormatName;
  /** 32 bytes. */
  key: Uint8Array;
  /** 24 lower-case hexadecimal digits. */
  keyId: string;
  associatedData: Uint8Array;
}

/** Seals a plaintext of any length into a new record, with a new random nonce. */
export function sealRecord(sealing: Sealing, plaintext: Uint8Array, random: RandomBytes): Buffer {
  const { format, key, keyId, associatedData } = sealing;
  requireKey(key);
  const nonce = random(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(associatedData);
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return Buffer.concat([
    Buffer.from(format, 'latin1'),
    Buffer.from(id(keyId), 'hex'),
    nonce,
    keyCommitment(key),
    ciphertext,
    cipher.getAuthTag(),
  ]);
}

/**
 * Checks a record's format, key id and key commitment, in this order and once, and answers what opens it: each call is one AES-GCM open
 * into a new buffer. Throws an {@link EnvelopeError}: here `invalid-argument`, `format`, `wrong-key-id` or `wrong-key`; when it is opened,
 * `authentication`.
 */
export function prepareRecord({ format, key, keyId, associatedData }: Sealing, record: Uint8Array): () => Buffer {
  requireKey(key);
  const { ciphertext, ...sealed } = parseRecord(format, record);
  if (sealed.keyId !== keyId) throw new EnvelopeError('wrong-key-id', 'The record is sealed under a key with another id.');
  // Before the cipher sees the key: a record that was made to open under two keys fails here.
  if (!timingSafeEqual(sealed.commitment, keyCommitment(key))) {
    throw new EnvelopeError('wrong-key', 'The record is sealed under another key that has the same id.');
  }
  // The platform keeps the key outside of the JavaScript heap and clears it when this opener is collected; the caller may zeroize its own.
  const secretKey = createSecretKey(key);
  return () => open(secretKey, sealed.nonce, associatedData, ciphertext, sealed.tag);
}

/** The id of the key that a record says it is sealed under: nothing vouches for it before it is opened. Throws `format`. */
export function sealedUnder(format: FormatName, record: Uint8Array): string {
  return parseRecord(format, record).keyId;
}

function open(key: KeyObject, nonce: Uint8Array, associatedData: Uint8Array, ciphertext: Uint8Array, tag: Uint8Array): Buffer {
  // Without authTagLength a tag of 4 bytes would be taken.
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(associatedData);
  decipher.setAuthTag(tag);
  const plaintext = decipher.update(ciphertext);
  try {
    decipher.final();
  } catch (cause) {
    // update() has already decrypted: what the tag does not vouch for leaves this function only as zeros.
    plaintext.fill(0);
    throw new EnvelopeError('authentication', 'The record was changed or belongs elsewhere.', { cause });
  }
  return plaintext;
}

function parseRecord(format: FormatName, record: Uint8Array) {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  if (bytes.toString('latin1', 0, NAME_BYTES) !== format) throw new EnvelopeError('format', `The record does not begin with "${format}".`);
  if (bytes.length < RECORD_OVERHEAD_BYTES) throw new EnvelopeError('format', 'The record is too short.');
  return {
    keyId: bytes.toString('hex', NAME_BYTES, NONCE_START),
    nonce: bytes.subarray(NONCE_START, COMMITMENT_START),
    commitment: bytes.subarray(COMMITMENT_START, CIPHERTEXT_START),
    ciphertext: bytes.subarray(CIPHERTEXT_START, -TAG_BYTES),
    tag: bytes.subarray(-TAG_BYTES),
  };
}

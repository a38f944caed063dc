import { concatBytes, decodeBase64, encodeBase64, encodeUtf8, malformed } from './canonical-text.ts';
import { MerkleError } from './merkle-error.ts';
import { NODE_CRYPTOGRAPHY } from './node-crypto.ts';
import { requireKeyName } from './note.ts';
import type { Sha256 } from './tree-hasher.ts';

/*
 * The keys of signed notes (https://c2sp.org/signed-note): a name, a signature type, and a public key. Ed25519 (RFC 8032) is the algorithm of
 * both types that this library has; another type needs a SignatureType of its own.
 */

/** A private key that signs. Where it lives is its own business; `sign` rejects with an error of its own, and has then signed nothing. */
export interface SigningKey {
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** Ed25519. Signatures have 64 bytes, keys and seeds 32. */
export interface Ed25519 {
  /** A check of signatures by that key. It answers false, and does not throw, for any signature that the key did not make. */
  verifier(publicKey: Uint8Array): (message: Uint8Array, signature: Uint8Array) => boolean;
  /** The key pair of a seed, in this process's memory. */
  signingKey(seed: Uint8Array): SigningKey;
}

/** The algorithms that this library takes as an argument, so that it runs where Node is not. */
export interface Cryptography {
  readonly sha256: Sha256;
  readonly ed25519: Ed25519;
}

/** Checks the signatures of one key. */
export interface NoteVerifier {
  readonly name: string;
  readonly keyId: number;
  /** Whether the key made that signature of a note's text. MUST answer false for a signature of any other length or form. */
  verify(text: Uint8Array, signature: Uint8Array): boolean;
}

/** Makes signatures of one key. */
export interface NoteSigner {
  readonly name: string;
  readonly keyId: number;
  /** The signature of a note's text, as its type has it. Rejects with an error of its own, and has then signed nothing. */
  sign(text: Uint8Array): Promise<Uint8Array>;
}

/** A way of signing notes, which a byte in the key names. */
export interface SignatureType {
  /** The byte, from 0 to 255. */
  readonly type: number;
  readonly publicKeyBytes: number;
  /** A check of signatures of this type by that key, as {@link NoteVerifier.verify} does it. */
  verifier(publicKey: Uint8Array, ed25519: Ed25519): (text: Uint8Array, signature: Uint8Array) => boolean;
}

/** A public key as it is written. */
export interface VerifierKey {
  readonly name: string;
  /** The byte of its {@link SignatureType}. */
  readonly type: number;
  readonly publicKey: Uint8Array;
}

/** Ed25519 over the note's text: how a log signs. */
export const ED25519_NOTE: SignatureType = {
  type: 0x01,
  publicKeyBytes: 32,
  verifier: (publicKey, ed25519) => ed25519.verifier(publicKey),
};

const SEED_BYTES = 32;
const KEY = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/;
const PRIVATE = 'PRIVATE+KEY+';

/**
 * A key's id: the first four bytes of `SHA-256(name ‖ "\n" ‖ type ‖ public key)`, big-endian. Throws `format` for a name that is none, or a
 * type that is no byte.
 */
export function noteKeyId({ name, type, publicKey }: VerifierKey, sha256: Sha256 = NODE_CRYPTOGRAPHY.sha256): number {
  if (type !== (type & 0xff)) throw malformed('A signature type must be a byte.');
  const digest = sha256(concatBytes(encodeUtf8(`${requireKeyName(name)}\n`), Uint8Array.of(type), publicKey));
  return new DataView(digest.buffer, digest.byteOffset).getUint32(0);
}

/** Writes a public key: `<name>+<key id in 8 hexadecimal digits>+<base64 of its type and bytes>`. Throws as {@link noteKeyId}. */
export function writeVerifierKey(key: VerifierKey, sha256: Sha256 = NODE_CRYPTOGRAPHY.sha256): string {
  return `${key.name}+${hexId(noteKeyId(key, sha256))}+${encodeBase64(concatBytes(Uint8Array.of(key.type), key.publicKey))}`;
}

/**
 * Reads what {@link writeVerifierKey} writes. Throws a {@link MerkleError}: `format`, or `wrong-key-id` when the id is not that of the name and
 * the key. Its type may be one that nobody here knows: that shows in {@link noteVerifier}.
 */
export function parseVerifierKey(text: string, sha256: Sha256 = NODE_CRYPTOGRAPHY.sha256): VerifierKey {
  const { name, keyId, type, bytes: publicKey } = parseKey(text);
  const key = { name, type, publicKey };
  if (hexId(noteKeyId(key, sha256)) !== keyId) throw new MerkleError('wrong-key-id', 'The key’s id is not that of its name and bytes.');
  return key;
}

/**
 * The check of signatures by a key of one of the given types. Throws a {@link MerkleError}: `unknown-key-type`, or `format` for a name that is
 * none or a key of another length than its type's.
 */
export function noteVerifier(key: VerifierKey, types: readonly SignatureType[], crypto: Cryptography = NODE_CRYPTOGRAPHY): NoteVerifier {
  const type = types.find((known) => known.type === key.type);
  if (type === undefined) throw new MerkleError('unknown-key-type', 'The key has a signature type that is not supported.');
  if (key.publicKey.length !== type.publicKeyBytes) throw malformed(`A public key of that type must have ${type.publicKeyBytes} bytes.`);
  return { name: key.name, keyId: noteKeyId(key, crypto.sha256), verify: type.verifier(key.publicKey, crypto.ed25519) };
}

/** A log's signer: Ed25519 over the note's text. Throws `format` for a name that is none. */
export function noteSigner(name: string, key: SigningKey, sha256: Sha256 = NODE_CRYPTOGRAPHY.sha256): NoteSigner {
  const keyId = noteKeyId({ name, type: ED25519_NOTE.type, publicKey: key.publicKey }, sha256);
  return { name, keyId, sign: (text) => key.sign(text) };
}

/** A private key as it is written. The seed is secret; it can be zeroized. */
export interface SignerKey {
  readonly name: string;
  /** The byte of its {@link SignatureType}; both types that this library has sign with Ed25519. */
  readonly type: number;
  readonly seed: Uint8Array;
}

/** Writes a private key: `PRIVATE+KEY+<name>+<key id>+<base64 of its type and seed>`. Throws `format` for a name or a seed that is none. */
export function writeSignerKey({ name, type, seed }: SignerKey, crypto: Cryptography = NODE_CRYPTOGRAPHY): string {
  const { publicKey } = crypto.ed25519.signingKey(requireSeed(seed));
  const keyId = noteKeyId({ name, type, publicKey }, crypto.sha256);
  return `${PRIVATE}${name}+${hexId(keyId)}+${encodeBase64(concatBytes(Uint8Array.of(type), seed))}`;
}

/**
 * Reads what {@link writeSignerKey} writes. Throws a {@link MerkleError}, which quotes nothing of the text: `format`, or `wrong-key-id` when
 * the id is not that of the name and the key.
 */
export function parseSignerKey(text: string, crypto: Cryptography = NODE_CRYPTOGRAPHY): SignerKey {
  if (!text.startsWith(PRIVATE)) throw malformed(`A private key must begin with ${PRIVATE}.`);
  const { name, keyId, type, bytes: seed } = parseKey(text.slice(PRIVATE.length));
  const { publicKey } = crypto.ed25519.signingKey(requireSeed(seed));
  if (hexId(noteKeyId({ name, type, publicKey }, crypto.sha256)) !== keyId) {
    throw new MerkleError('wrong-key-id', 'The key’s id is not that of its name and bytes.');
  }
  return { name, type, seed };
}

function parseKey(text: string): { name: string; keyId: string; type: number; bytes: Uint8Array } {
  const [, name = '', keyId = '', base64 = ''] = KEY.exec(text) ?? [];
  const typed = decodeBase64(base64);
  const [type, bytes] = [typed[0], typed.subarray(1)];
  if (type === undefined || bytes.length === 0) throw malformed('A key must have a name, an id, a type and its bytes.');
  return { name: requireKeyName(name), keyId, type, bytes };
}

function requireSeed(seed: Uint8Array): Uint8Array {
  if (seed.length !== SEED_BYTES) throw malformed(`A seed must have ${SEED_BYTES} bytes.`);
  return seed;
}

function hexId(keyId: number): string {
  return keyId.toString(16).padStart(8, '0');
}

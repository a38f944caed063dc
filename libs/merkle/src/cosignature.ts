import { concatBytes, encodeUtf8 } from './canonical-text.ts';
import { MerkleError } from './merkle-error.ts';
import { NODE_CRYPTOGRAPHY } from './node-crypto.ts';
import { noteKeyId, type NoteSigner, type SignatureType, type SigningKey } from './note-key.ts';
import type { Sha256 } from './tree-hasher.ts';

/*
 * Timestamped Ed25519 cosignatures, https://c2sp.org/tlog-cosignature: how a witness says which checkpoint was the largest that it knew of a
 * log, and when. The signature is the time in seconds (8 bytes, big-endian) and an Ed25519 signature over two lines and the checkpoint.
 */

const TIME_BYTES = 8;
const SIGNATURE_BYTES = TIME_BYTES + 64;

/** The signature type of cosignatures. A cosigner has a key pair of its own: the signed bytes do not name it. */
export const COSIGNATURE_V1: SignatureType = {
  type: 0x04,
  publicKeyBytes: 32,
  verifier(publicKey, ed25519) {
    const verify = ed25519.verifier(publicKey);
    return (text, signature) => {
      const time = signature.length === SIGNATURE_BYTES ? readTime(signature) : null;
      return time !== null && verify(cosignedMessage(text, time), signature.subarray(TIME_BYTES));
    };
  },
};

/**
 * A cosigner. `now` gives the time in seconds since 1970; a time that is no integer from 0 to 2^53 - 1 makes signing reject with an
 * `invalid-argument` {@link MerkleError}. Throws `format` for a name that is none.
 */
export function cosigner(name: string, key: SigningKey, now: () => number, sha256: Sha256 = NODE_CRYPTOGRAPHY.sha256): NoteSigner {
  const keyId = noteKeyId({ name, type: COSIGNATURE_V1.type, publicKey: key.publicKey }, sha256);
  return {
    name,
    keyId,
    sign: async (text) => {
      const time = now();
      if (!Number.isSafeInteger(time) || time < 0)
        throw new MerkleError('invalid-argument', 'A time must be an integer from 0 to 2^53 - 1.');
      return concatBytes(writeTime(time), await key.sign(cosignedMessage(text, time)));
    },
  };
}

/** When a cosignature was made, in seconds since 1970. Only a verified one tells. Throws `format` for what has another length, or a time above 2^53 - 1. */
export function cosignatureTime(signature: Uint8Array): number {
  const time = signature.length === SIGNATURE_BYTES ? readTime(signature) : null;
  if (time === null) throw new MerkleError('format', `A cosignature must have ${SIGNATURE_BYTES} bytes, and a time up to 2^53 - 1.`);
  return time;
}

function cosignedMessage(text: Uint8Array, time: number): Uint8Array {
  return concatBytes(encodeUtf8(`cosignature/v1\ntime ${time}\n`), text);
}

function readTime(signature: Uint8Array): number | null {
  const time = Number(new DataView(signature.buffer, signature.byteOffset).getBigUint64(0));
  return Number.isSafeInteger(time) ? time : null;
}

function writeTime(time: number): Uint8Array {
  const bytes = new Uint8Array(TIME_BYTES);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(time));
  return bytes;
}

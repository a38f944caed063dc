import { createPrivateKey, createPublicKey, hash, sign, verify } from 'node:crypto';
import type { Cryptography, Ed25519 } from './note-key.ts';
import type { Sha256 } from './tree-hasher.ts';

/*
 * The defaults for Node. This is the library's only file that imports from Node, so that a browser needs a replacement for one file, or
 * passes its own implementations.
 */

/**
 * SHA-256 by Node's one-shot hash, which costs a third of a hash object. It gives the digest as a string of bytes: a buffer that native code
 * makes costs as much as hashing 500 bytes does.
 */
export const nodeSha256: Sha256 = (bytes) => {
  const text = hash('sha256', bytes, 'binary');
  const digest = new Uint8Array(text.length);
  for (let at = 0; at < digest.length; at += 1) digest[at] = text.charCodeAt(at);
  return digest;
};

// RFC 8410: what stands before the 32 bytes of a public key and of a seed.
const SPKI_PREFIX = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const PKCS8_PREFIX = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

const nodeEd25519: Ed25519 = {
  verifier(publicKey) {
    const key = createPublicKey({ key: Buffer.from([...SPKI_PREFIX, ...publicKey]), format: 'der', type: 'spki' });
    return (message, signature) => verify(null, message, key, signature);
  },
  signingKey(seed) {
    const der = Buffer.from([...PKCS8_PREFIX, ...seed]);
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    der.fill(0);
    const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length);
    return { publicKey, sign: async (message) => sign(null, message, key) };
  },
};

/** SHA-256 and Ed25519 of Node. */
export const NODE_CRYPTOGRAPHY: Cryptography = { sha256: nodeSha256, ed25519: nodeEd25519 };

import { hash } from 'node:crypto';

const LEAF_PREFIX = Buffer.of(0);

/** The hash of a leaf: `SHA-256(0x00 ‖ bytes)` (RFC 6962, 2.1). 32 bytes. */
export function leafHash(bytes: Uint8Array): Buffer {
  return hash('sha256', Buffer.concat([LEAF_PREFIX, bytes]), 'buffer');
}

import { hkdfSync } from 'node:crypto';
import type { ConnectionOptions, TlsOptions } from 'node:tls';

/** Names the protocol and how the key is derived; another version of either takes another name. */
const IDENTITY = 'kms-rpc-v1';
const KEY_SIZE = 32;
const MIN_SECRET_LENGTH = 32;

/**
 * TLS 1.3 with an external pre-shared key in psk_dhe_ke mode (RFC 8446, 2.2 and 4.2.9): each end proves that it knows the secret before
 * the other one sends anything, and the X25519 exchange keeps recorded traffic secret even if the secret leaks later. The suite is one
 * with SHA-256, as OpenSSL ties external keys to that hash.
 */
const PROTOCOL = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ciphers: 'TLS_CHACHA20_POLY1305_SHA256' } as const;

/** The server's side. It has no certificate, so that a handshake without the pre-shared key cannot end well. */
export function serverTlsOptions(secret: string): TlsOptions {
  const psk = deriveKey(secret);
  return {
    ...PROTOCOL,
    pskCallback: (_socket, identity) => (identity === IDENTITY ? psk : null),
  };
}

/**
 * The client's side. With no certificate authority at all no certificate is trusted, and one that is shown all the same is refused: the
 * pre-shared key is the only way in.
 */
export function clientTlsOptions(secret: string): ConnectionOptions {
  const psk = deriveKey(secret);
  return {
    ...PROTOCOL,
    ca: [],
    rejectUnauthorized: true,
    checkServerIdentity: () => new Error('The peer showed a certificate instead of proving that it knows the secret.'),
    pskCallback: () => ({ psk, identity: IDENTITY }),
  };
}

/**
 * HKDF-SHA256 (RFC 5869) without a salt, `info` being the identity. Throws RangeError on a secret of less than 32 characters: whoever can
 * take part in a handshake can guess at a short one off line.
 */
function deriveKey(secret: string): Buffer {
  if (secret.length < MIN_SECRET_LENGTH) throw new RangeError(`The secret of the hop has at least ${MIN_SECRET_LENGTH} characters.`);
  return Buffer.from(hkdfSync('sha256', secret, '', IDENTITY, KEY_SIZE));
}

/** Whether a handshake ended because of TLS itself, which between two of our own processes means: because the secrets differ. */
export function isAuthenticationError(error: Error | null): boolean {
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  return code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_');
}

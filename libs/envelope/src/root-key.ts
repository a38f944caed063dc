import type { LogKeyContext, OrganizationKeyContext } from './context.ts';
import { EnvelopeError } from './envelope-error.ts';
import { deriveFromKey, KEY_BYTES, KEY_ID_BYTES, requireKey, systemRandomBytes, type RandomBytes } from './key.ts';
import { unwrapKey, wrapKey } from './wrapped-key.ts';

/** What is wrapped under a root key, and nothing between. */
export type RootKeyContext = OrganizationKeyContext | LogKeyContext;

/**
 * Where a root key lives: in this process, or in a device or service that never lets it out. The vault's wraps organizations' keys, the
 * audit service's wraps log keys, nothing else.
 * Both calls reject with an {@link EnvelopeError}, with the codes of {@link unwrapKey} and {@link wrapKey}; a provider outside of this
 * process also rejects when it is not reached, with an error of its own, and MUST NOT then answer with anything.
 */
export interface RootKeyProvider {
  /** 24 lower-case hexadecimal digits. Every wrap names it, so that the wrap of another root key is told apart (`wrong-key-id`). */
  readonly keyId: string;
  /** Wraps a key of 32 bytes. */
  wrap(key: Uint8Array, context: RootKeyContext): Promise<Buffer>;
  /** Unwraps what {@link wrap} made for the same context: 32 bytes, to be zeroized by the caller. */
  unwrap(wrapped: Uint8Array, context: RootKeyContext): Promise<Buffer>;
}

/** A root key of 32 bytes in this process's memory. */
export class LocalRootKey implements RootKeyProvider {
  readonly keyId: string;
  // A private field: no serializer and no inspection of the object shows it.
  readonly #key: Buffer;
  readonly #random: RandomBytes;

  /**
   * Keeps a copy of the key, so the caller may zeroize its own. Throws an `invalid-argument` {@link EnvelopeError} unless it has 32 bytes.
   */
  constructor(key: Uint8Array, random: RandomBytes = systemRandomBytes) {
    requireKey(key);
    this.keyId = rootKeyId(key);
    this.#key = Buffer.from(key);
    this.#random = random;
  }

  async wrap(key: Uint8Array, context: RootKeyContext): Promise<Buffer> {
    return wrapKey({ wrappingKey: this.#key, wrappingKeyId: this.keyId, key, context }, this.#random);
  }

  async unwrap(wrapped: Uint8Array, context: RootKeyContext): Promise<Buffer> {
    return unwrapKey({ wrappingKey: this.#key, wrappingKeyId: this.keyId, wrapped, context });
  }
}

/** The id of a root key: 12 bytes of HKDF-SHA256 (info `donutwork-kms/v1/root-key-id`) in hexadecimal. It reveals nothing of the key. */
export function rootKeyId(rootKey: Uint8Array): string {
  return deriveFromKey(rootKey, 'root-key-id', KEY_ID_BYTES).toString('hex');
}

/**
 * Reads a root key: 32 bytes in standard base64 (RFC 4648, section 4), with padding and nothing around them.
 * Throws an `invalid-argument` {@link EnvelopeError}; its sentence does not quote the text, which may be a key with a slip in it.
 */
export function parseRootKey(base64: string): Buffer {
  const key = Buffer.from(base64, 'base64');
  // The decoder skips what it does not know, so only a text that it would write again is taken: one text for each key.
  if (key.length !== KEY_BYTES || key.toString('base64') !== base64) {
    throw new EnvelopeError(
      'invalid-argument',
      `The root key must be ${KEY_BYTES} bytes in standard base64: 44 characters that end with "=".`,
    );
  }
  return key;
}

import { keyAssociatedData, type KeyContext } from './context.ts';
import { EnvelopeError } from './envelope-error.ts';
import { KEY_BYTES, requireKey, systemRandomBytes, type RandomBytes } from './key.ts';
import { prepareRecord, RECORD_OVERHEAD_BYTES, sealedUnder, sealRecord } from './sealed-record.ts';

/** The name of the format; its layout stands in `sealed-record.ts`. Another layout is another name. */
const FORMAT = 'dkw1';

/** Length of a wrapped key, in bytes. */
export const WRAPPED_KEY_BYTES = RECORD_OVERHEAD_BYTES + KEY_BYTES;

/**
 * Wraps a key of 32 bytes under another one, bound to where it belongs: 108 bytes in format `dkw1`.
 * A wrapping key may do this {@link KEY_WRAP_LIMIT} times. Throws an `invalid-argument` {@link EnvelopeError}.
 */
export function wrapKey(
  wrap: { wrappingKey: Uint8Array; wrappingKeyId: string; key: Uint8Array; context: KeyContext },
  random: RandomBytes = systemRandomBytes,
): Buffer {
  const { wrappingKey: key, wrappingKeyId: keyId, context } = wrap;
  requireKey(wrap.key);
  return sealRecord({ format: FORMAT, key, keyId, associatedData: keyAssociatedData(FORMAT, keyId, context) }, wrap.key, random);
}

/**
 * Unwraps a key that {@link wrapKey} wrapped under the same key for the same context: 32 bytes, to be zeroized by the caller.
 * Throws an {@link EnvelopeError} of any code; of the checks, the first that fails decides: arguments, format, key id, key, authentication.
 */
export function unwrapKey(unwrap: { wrappingKey: Uint8Array; wrappingKeyId: string; wrapped: Uint8Array; context: KeyContext }): Buffer {
  const { wrappingKey: key, wrappingKeyId: keyId, wrapped, context } = unwrap;
  requireKey(key);
  const associatedData = keyAssociatedData(FORMAT, keyId, context);
  if (wrapped.length !== WRAPPED_KEY_BYTES) throw new EnvelopeError('format', `A wrapped key has ${WRAPPED_KEY_BYTES} bytes.`);
  return prepareRecord({ format: FORMAT, key, keyId, associatedData }, wrapped)();
}

/** The id of the key that a wrapped key says it is wrapped under, for people to read. Throws a `format` {@link EnvelopeError}. */
export function wrappingKeyIdOf(wrapped: Uint8Array): string {
  return sealedUnder(FORMAT, wrapped);
}

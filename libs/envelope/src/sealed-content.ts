import { contentAssociatedData, type ContentContext } from './context.ts';
import { generateKey, systemRandomBytes, type RandomBytes } from './key.ts';
import { prepareRecord, RECORD_OVERHEAD_BYTES, sealRecord } from './sealed-record.ts';

/** The name of the format; its layout stands in `sealed-record.ts`. Another layout is another name. */
const FORMAT = 'dkc1';

/** How much longer a sealed content is than the content, in bytes. */
export const SEALED_CONTENT_OVERHEAD_BYTES = RECORD_OVERHEAD_BYTES;

/** A sealed content whose key is known to be right, ready to be opened any number of times. */
export interface PreparedContent {
  /**
   * The content, in a buffer of the caller's own: exactly one AES-GCM open, and no plaintext before the tag was checked.
   * Throws an `authentication` {@link EnvelopeError} when the record was changed or belongs to another organization, entry or version.
   */
  open(): Buffer;
}

/**
 * Seals a content of any length under a new data key, bound to where it belongs, in format `dkc1`. The key is made here, so that no data
 * key can seal two contents. The caller wraps the data key, stores both, and zeroizes the key.
 * Throws an `invalid-argument` {@link EnvelopeError}.
 */
export function sealContent(
  seal: { dataKeyId: string; context: ContentContext; plaintext: Uint8Array },
  random: RandomBytes = systemRandomBytes,
): { dataKey: Buffer; sealed: Buffer } {
  const { dataKeyId: keyId, context, plaintext } = seal;
  const associatedData = contentAssociatedData(FORMAT, keyId, context);
  const dataKey = generateKey(random);
  return { dataKey, sealed: sealRecord({ format: FORMAT, key: dataKey, keyId, associatedData }, plaintext, random) };
}

/**
 * Checks all of a sealed content that can be checked once (format, key id, key commitment), and keeps the rest for
 * {@link PreparedContent.open}. It holds a key of its own, so the caller may zeroize `dataKey` afterwards; `sealed` must not be changed, or
 * opening it fails.
 * Throws an {@link EnvelopeError}: `invalid-argument`, `format`, `wrong-key-id` or `wrong-key`.
 */
export function prepareContent(content: {
  dataKey: Uint8Array;
  dataKeyId: string;
  sealed: Uint8Array;
  context: ContentContext;
}): PreparedContent {
  const { dataKey: key, dataKeyId: keyId, sealed, context } = content;
  const associatedData = contentAssociatedData(FORMAT, keyId, context);
  return { open: prepareRecord({ format: FORMAT, key, keyId, associatedData }, sealed) };
}

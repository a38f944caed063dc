import { EnvelopeError } from './envelope-error.ts';

/** Where the wrap of an organization's key belongs. Every id is 24 lower-case hexadecimal digits. */
export interface OrganizationKeyContext {
  readonly purpose: 'organization-key';
  /** The id of the key that is wrapped. */
  readonly keyId: string;
  readonly organizationId: string;
}

/** Where the wrap of a version's data key belongs. */
export interface DataKeyContext {
  readonly purpose: 'data-key';
  /** The id of the key that is wrapped. */
  readonly keyId: string;
  readonly organizationId: string;
  readonly entryId: string;
  /** The version's number, from 1. */
  readonly version: number;
}

/** Where the wrap of a log key belongs: among the keys that the audit log is signed with. */
export interface LogKeyContext {
  readonly purpose: 'log-key';
  /** The public keys of all keys that are kept together, as they are written, in their order: none can be left out or come elsewhere. */
  readonly publicKeys: readonly string[];
  /** Which of them is the one that is wrapped, from 1. */
  readonly place: number;
}

export type KeyContext = OrganizationKeyContext | DataKeyContext | LogKeyContext;

/** Where a version's sealed content belongs. */
export interface ContentContext {
  readonly organizationId: string;
  readonly entryId: string;
  /** The version's number, from 1. */
  readonly version: number;
}

const ID = /^[0-9a-f]{24}$/;
const LENGTH_BYTES = 4;

/**
 * The associated data of a wrapped key: `format, purpose, wrapping key's id`, then `key's id, organization`, and for a data key `entry,
 * version` after them, or for a log key `place` and all public keys; encoded by {@link encodeFields}. Throws an `invalid-argument`
 * {@link EnvelopeError} for an id, a version or a place that is none.
 */
export function keyAssociatedData(format: string, wrappingKeyId: string, context: KeyContext): Buffer {
  const fields = [format, context.purpose, id(wrappingKeyId)];
  if (context.purpose === 'log-key') return encodeFields([...fields, decimal(context.place), ...context.publicKeys]);
  fields.push(id(context.keyId), id(context.organizationId));
  if (context.purpose === 'data-key') fields.push(id(context.entryId), decimal(context.version));
  return encodeFields(fields);
}

/**
 * The associated data of a sealed content: `format, 'content', data key's id, organization, entry, version`, encoded by
 * {@link encodeFields}. Throws an `invalid-argument` {@link EnvelopeError} for an id or a version that is none.
 */
export function contentAssociatedData(format: string, dataKeyId: string, context: ContentContext): Buffer {
  return encodeFields([format, 'content', id(dataKeyId), id(context.organizationId), id(context.entryId), decimal(context.version)]);
}

/**
 * Each field as its length in bytes (4 bytes, big-endian), then its UTF-8 bytes. The lengths keep two lists of fields from ever having the
 * same encoding, however their characters are shared out.
 */
export function encodeFields(fields: readonly string[]): Buffer {
  return Buffer.concat(
    fields.flatMap((field) => {
      const bytes = Buffer.from(field, 'utf8');
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}

/** The id itself, once it is known to be one. */
export function id(text: string): string {
  if (!ID.test(text)) throw new EnvelopeError('invalid-argument', 'An id must be 24 lower-case hexadecimal digits.');
  return text;
}

function decimal(number: number): string {
  if (!Number.isSafeInteger(number) || number < 1)
    throw new EnvelopeError('invalid-argument', 'A version or a place must be an integer from 1.');
  return String(number);
}

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  contentAssociatedData,
  encodeFields,
  keyAssociatedData,
  type ContentContext,
  type DataKeyContext,
  type KeyContext,
  type OrganizationKeyContext,
} from './context.ts';
import { EnvelopeError } from './envelope-error.ts';

const hexId = fc.uint8Array({ minLength: 12, maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const version = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const ID = '6835c2cd0f3e5a7b9c1d2e3f';
const CONTENT: ContentContext = { organizationId: ID, entryId: ID, version: 1 };

describe('encodeFields', () => {
  it('writes each length in four bytes before each field', () => {
    expect(encodeFields(['a', '', 'é']).toString('hex')).toBe('00000001' + '61' + '00000000' + '00000002' + 'c3a9');
  });

  it('can be read back, so no two lists of fields have the same encoding', () => {
    // Few characters, and among them the bytes of a length, so that fields that are shared out in another way come up.
    const field = fc.string({ unit: fc.constantFrom('\u0000', '\u0001', '\u0004', 'a', 'é', '😀'), maxLength: 8 });
    fc.assert(fc.property(fc.array(field, { maxLength: 6 }), (fields) => expect(readFields(encodeFields(fields))).toEqual(fields)));
  });
});

describe('the associated data', () => {
  it('of two contexts, purposes, formats or key ids are never the same', () => {
    const key: fc.Arbitrary<DataKeyContext | OrganizationKeyContext> = fc.oneof(
      fc.record({ purpose: fc.constant('organization-key' as const), keyId: hexId, organizationId: hexId }),
      fc.record({ purpose: fc.constant('data-key' as const), keyId: hexId, organizationId: hexId, entryId: hexId, version }),
    );
    fc.assert(
      fc.property(hexId, fc.array(fc.string()), version, (wrappingKeyId, publicKeys, place) => {
        const context: KeyContext = { purpose: 'log-key', publicKeys, place };
        expect(readFields(keyAssociatedData('dkw1', wrappingKeyId, context))).toEqual([
          'dkw1',
          'log-key',
          wrappingKeyId,
          String(place),
          ...publicKeys,
        ]);
      }),
    );
    fc.assert(
      fc.property(hexId, key, (wrappingKeyId, context) => {
        const { purpose, keyId, organizationId } = context;
        const rest = context.purpose === 'data-key' ? [context.entryId, String(context.version)] : [];
        const expected = ['dkw1', purpose, wrappingKeyId, keyId, organizationId, ...rest];
        expect(readFields(keyAssociatedData('dkw1', wrappingKeyId, context))).toEqual(expected);
      }),
    );
    fc.assert(
      fc.property(hexId, fc.record({ organizationId: hexId, entryId: hexId, version }), (keyId, context) => {
        const expected = ['dkc1', 'content', keyId, context.organizationId, context.entryId, String(context.version)];
        expect(readFields(contentAssociatedData('dkc1', keyId, context))).toEqual(expected);
      }),
    );
  });

  it.each(['', ID.slice(1), `${ID}0`, ID.toUpperCase(), `${ID}\n`, 'x'.repeat(24)])('is refused for the id %j', (bad) => {
    const refused = expect.objectContaining({ code: 'invalid-argument' });
    expect(() => contentAssociatedData('dkc1', bad, CONTENT)).toThrow(refused);
    expect(() => contentAssociatedData('dkc1', ID, { ...CONTENT, organizationId: bad })).toThrow(refused);
    expect(() => contentAssociatedData('dkc1', ID, { ...CONTENT, entryId: bad })).toThrow(refused);
    expect(() => keyAssociatedData('dkw1', bad, { purpose: 'data-key', keyId: ID, ...CONTENT })).toThrow(refused);
    expect(() => keyAssociatedData('dkw1', ID, { purpose: 'data-key', keyId: bad, ...CONTENT })).toThrow(refused);
  });

  it.each([0, -1, 1.5, NaN, Infinity, 2 ** 53])('is refused for version %d', (bad) => {
    expect(() => contentAssociatedData('dkc1', ID, { ...CONTENT, version: bad })).toThrow(EnvelopeError);
  });
});

/** A reader of the encoding, which shows that it can be taken apart in one way only. */
function readFields(encoded: Buffer): string[] {
  const fields: string[] = [];
  let at = 0;
  while (at < encoded.length) {
    const end = at + 4 + encoded.readUInt32BE(at);
    fields.push(encoded.toString('utf8', at + 4, end));
    at = end;
  }
  expect(at).toBe(encoded.length);
  return fields;
}

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { ContentContext, KeyContext } from './context.ts';
import { EnvelopeError, type EnvelopeErrorCode } from './envelope-error.ts';
import { generateKey, KEY_WRAP_LIMIT, zeroize } from './key.ts';
import { prepareContent, sealContent, SEALED_CONTENT_OVERHEAD_BYTES } from './sealed-content.ts';
import { unwrapKey, WRAPPED_KEY_BYTES, wrapKey } from './wrapped-key.ts';

const hexId = fc.uint8Array({ minLength: 12, maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const contentContext: fc.Arbitrary<ContentContext> = fc.record({
  organizationId: hexId,
  entryId: hexId,
  version: fc.integer({ min: 1, max: 2 ** 31 }),
});
const keyContext: fc.Arbitrary<KeyContext> = fc.oneof(
  fc.record({ purpose: fc.constant('organization-key' as const), keyId: hexId, organizationId: hexId }),
  fc.tuple(hexId, contentContext).map(([keyId, context]) => ({ purpose: 'data-key' as const, keyId, ...context })),
);
const plaintext = fc.uint8Array({ maxLength: 200 });

const FIELDS: { name: string; end: number; code: EnvelopeErrorCode }[] = [
  { name: 'format name', end: 4, code: 'format' },
  { name: 'key id', end: 16, code: 'wrong-key-id' },
  { name: 'nonce', end: 28, code: 'authentication' },
  { name: 'commitment', end: 60, code: 'wrong-key' },
  { name: 'ciphertext and tag', end: Infinity, code: 'authentication' },
];

describe('a wrapped key', () => {
  it('is 108 bytes, and unwraps to the same key', () => {
    fc.assert(
      fc.property(key, key, hexId, keyContext, (wrappingKey, wrapped, wrappingKeyId, context) => {
        const record = wrapKey({ wrappingKey, wrappingKeyId, key: wrapped, context });
        expect(record).toHaveLength(WRAPPED_KEY_BYTES);
        expect(WRAPPED_KEY_BYTES).toBe(108);
        expect(unwrapKey({ wrappingKey, wrappingKeyId, wrapped: record, context })).toEqual(Buffer.from(wrapped));
      }),
    );
  });

  it('is refused with any one bit flipped, by the check of the field that it is in', () => {
    const context: KeyContext = { purpose: 'organization-key', keyId: 'a'.repeat(24), organizationId: 'b'.repeat(24) };
    const wrapping = { wrappingKey: generateKey(), wrappingKeyId: 'c'.repeat(24), context };
    const record = wrapKey({ ...wrapping, key: generateKey() });
    for (let bit = 0; bit < record.length * 8; bit += 1) {
      expect(codeOf(() => unwrapKey({ ...wrapping, wrapped: flip(record, bit) }))).toBe(fieldAt(bit)?.code);
    }
  });

  it('is refused in any other context', () => {
    fc.assert(
      fc.property(key, hexId, keyContext, keyContext, (wrappingKey, wrappingKeyId, context, other) => {
        fc.pre(JSON.stringify(context) !== JSON.stringify(other));
        const wrapped = wrapKey({ wrappingKey, wrappingKeyId, key: wrappingKey, context });
        expect(codeOf(() => unwrapKey({ wrappingKey, wrappingKeyId, wrapped, context: other }))).toBe('authentication');
      }),
    );
  });

  it('is refused with any one bit of its context flipped', () => {
    fc.assert(
      fc.property(key, hexId, keyContext, fc.nat(95), fc.nat(30), (wrappingKey, wrappingKeyId, context, idBit, versionBit) => {
        const wrapped = wrapKey({ wrappingKey, wrappingKeyId, key: wrappingKey, context });
        for (const other of neighbours(context, idBit, versionBit)) {
          expect(codeOf(() => unwrapKey({ wrappingKey, wrappingKeyId, wrapped, context: other }))).toBe('authentication');
        }
      }),
    );
  });

  it('is refused at any other length', () => {
    const context: KeyContext = { purpose: 'organization-key', keyId: 'a'.repeat(24), organizationId: 'b'.repeat(24) };
    const wrapping = { wrappingKey: generateKey(), wrappingKeyId: 'c'.repeat(24), context };
    const record = Buffer.concat([wrapKey({ ...wrapping, key: generateKey() }), Buffer.alloc(60)]);
    for (let length = 0; length <= record.length; length += 1) {
      const code = codeOf(() => unwrapKey({ ...wrapping, wrapped: record.subarray(0, length) }));
      expect(code).toBe(length === WRAPPED_KEY_BYTES ? undefined : 'format');
    }
  });

  it('takes keys of 32 bytes only', () => {
    const context: KeyContext = { purpose: 'organization-key', keyId: 'a'.repeat(24), organizationId: 'b'.repeat(24) };
    const good = { wrappingKey: generateKey(), wrappingKeyId: 'c'.repeat(24), key: generateKey(), context };
    const wrapped = wrapKey(good);
    for (const short of [new Uint8Array(0), new Uint8Array(16), new Uint8Array(31), new Uint8Array(33)]) {
      expect(codeOf(() => wrapKey({ ...good, key: short }))).toBe('invalid-argument');
      expect(codeOf(() => wrapKey({ ...good, wrappingKey: short }))).toBe('invalid-argument');
      expect(codeOf(() => unwrapKey({ ...good, wrapped, wrappingKey: short }))).toBe('invalid-argument');
    }
  });

  it('has another nonce each time', () => {
    const context: KeyContext = { purpose: 'organization-key', keyId: 'a'.repeat(24), organizationId: 'b'.repeat(24) };
    const wrap = { wrappingKey: generateKey(), wrappingKeyId: 'c'.repeat(24), key: generateKey(), context };
    const nonces = Array.from({ length: 100 }, () => wrapKey(wrap).toString('hex', 16, 28));
    expect(new Set(nonces).size).toBe(100);
  });

  it('may be made half as often as NIST allows', () => {
    expect(KEY_WRAP_LIMIT).toBe(2_147_483_648);
  });
});

describe('a sealed content', () => {
  it('opens to the same content, any number of times, also once the caller has zeroized the key', () => {
    fc.assert(
      fc.property(hexId, contentContext, plaintext, (dataKeyId, context, content) => {
        const { dataKey, sealed } = sealContent({ dataKeyId, context, plaintext: content });
        expect(sealed).toHaveLength(content.length + SEALED_CONTENT_OVERHEAD_BYTES);
        const prepared = prepareContent({ dataKey, dataKeyId, sealed, context });
        zeroize(dataKey);
        const first = prepared.open();
        expect(first).toEqual(Buffer.from(content));
        first.fill(0);
        expect(prepared.open()).toEqual(Buffer.from(content));
      }),
    );
  });

  it('is sealed under a new key each time', () => {
    const seal = {
      dataKeyId: 'c'.repeat(24),
      context: { organizationId: 'a'.repeat(24), entryId: 'b'.repeat(24), version: 1 },
      plaintext: Buffer.from('x'),
    };
    const first = sealContent(seal);
    const second = sealContent(seal);
    expect(first.dataKey).not.toEqual(second.dataKey);
    expect(codeOf(() => prepareContent({ ...seal, dataKey: first.dataKey, sealed: second.sealed }))).toBe('wrong-key');
  });

  it('is refused with any one bit flipped, by the check of the field that it is in', () => {
    fc.assert(
      fc.property(hexId, contentContext, plaintext, fc.nat(), (dataKeyId, context, content, seed) => {
        const { dataKey, sealed } = sealContent({ dataKeyId, context, plaintext: content });
        const bit = seed % (sealed.length * 8);
        expect(codeOf(() => prepareContent({ dataKey, dataKeyId, sealed: flip(sealed, bit), context }).open())).toBe(fieldAt(bit)?.code);
      }),
      { numRuns: 500 },
    );
  });

  it('is refused with any one bit of its context flipped', () => {
    fc.assert(
      fc.property(hexId, contentContext, plaintext, fc.nat(95), fc.nat(30), (dataKeyId, context, content, idBit, versionBit) => {
        const { dataKey, sealed } = sealContent({ dataKeyId, context, plaintext: content });
        for (const other of neighbours(context, idBit, versionBit)) {
          expect(codeOf(() => prepareContent({ dataKey, dataKeyId, sealed, context: other }).open())).toBe('authentication');
        }
      }),
    );
  });

  it('is refused when it is cut anywhere, or longer', () => {
    fc.assert(
      fc.property(hexId, contentContext, plaintext, fc.nat(), (dataKeyId, context, content, seed) => {
        const { dataKey, sealed } = sealContent({ dataKeyId, context, plaintext: content });
        const length = seed % sealed.length;
        const expected = length < SEALED_CONTENT_OVERHEAD_BYTES ? 'format' : 'authentication';
        expect(codeOf(() => prepareContent({ dataKey, dataKeyId, sealed: sealed.subarray(0, length), context }).open())).toBe(expected);
        const longer = Buffer.concat([sealed, Buffer.alloc(1)]);
        expect(codeOf(() => prepareContent({ dataKey, dataKeyId, sealed: longer, context }).open())).toBe('authentication');
      }),
    );
  });

  it('does not open once its bytes were changed behind it', () => {
    const context = { organizationId: 'a'.repeat(24), entryId: 'b'.repeat(24), version: 1 };
    const { dataKey, sealed } = sealContent({ dataKeyId: 'c'.repeat(24), context, plaintext: Buffer.from('secret') });
    const prepared = prepareContent({ dataKey, dataKeyId: 'c'.repeat(24), sealed, context });
    sealed.writeUInt8(sealed.readUInt8(60) ^ 1, 60);
    expect(codeOf(() => prepared.open())).toBe('authentication');
  });

  it('reads a record that lies inside of a larger buffer', () => {
    const context = { organizationId: 'a'.repeat(24), entryId: 'b'.repeat(24), version: 1 };
    const { dataKey, sealed } = sealContent({ dataKeyId: 'c'.repeat(24), context, plaintext: Buffer.from('secret') });
    const larger = new Uint8Array(Buffer.concat([Buffer.alloc(7), sealed, Buffer.alloc(9)]));
    const inner = larger.subarray(7, 7 + sealed.length);
    expect(
      prepareContent({ dataKey, dataKeyId: 'c'.repeat(24), sealed: inner, context })
        .open()
        .toString(),
    ).toBe('secret');
  });
});

const fieldAt = (bit: number) => FIELDS.find(({ end }) => bit < end * 8);

function flip(bytes: Uint8Array, bit: number): Buffer {
  const flipped = Buffer.from(bytes);
  flipped.writeUInt8(flipped.readUInt8(bit >>> 3) ^ (1 << (bit & 7)), bit >>> 3);
  return flipped;
}

/** The context with one bit of each id, and of the version, flipped in turn. */
function neighbours<Context extends KeyContext | ContentContext>(context: Context, idBit: number, versionBit: number): Context[] {
  return Object.entries(context)
    .filter(([name]) => name !== 'purpose')
    .map(([name, value]: [string, unknown]) => {
      if (typeof value === 'string') return { ...context, [name]: flip(Buffer.from(value, 'hex'), idBit).toString('hex') };
      const flipped = Number(BigInt(value as number) ^ (1n << BigInt(versionBit)));
      return { ...context, [name]: flipped === 0 ? 2 ** 40 : flipped };
    });
}

function codeOf(action: () => unknown): EnvelopeErrorCode | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(EnvelopeError);
    return (error as EnvelopeError).code;
  }
}

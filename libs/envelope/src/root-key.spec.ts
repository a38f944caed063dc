import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { OrganizationKeyContext } from './context.ts';
import { EnvelopeError } from './envelope-error.ts';
import { generateKey, zeroize } from './key.ts';
import { LocalRootKey, parseRootKey, rootKeyId } from './root-key.ts';

const CONTEXT: OrganizationKeyContext = { purpose: 'organization-key', keyId: 'a'.repeat(24), organizationId: 'b'.repeat(24) };

describe('LocalRootKey', () => {
  it('unwraps what it wrapped, also once the caller has zeroized the root key', async () => {
    const rootKey = generateKey();
    const provider = new LocalRootKey(rootKey);
    zeroize(rootKey);
    const key = generateKey();
    expect(await provider.unwrap(await provider.wrap(key, CONTEXT), CONTEXT)).toEqual(key);
  });

  it('tells the wrap of another root key apart', async () => {
    const wrapped = await new LocalRootKey(generateKey()).wrap(generateKey(), CONTEXT);
    await expect(new LocalRootKey(generateKey()).unwrap(wrapped, CONTEXT)).rejects.toMatchObject({
      name: 'EnvelopeError',
      code: 'wrong-key-id',
    });
  });

  it("refuses another organization's wrap", async () => {
    const provider = new LocalRootKey(generateKey());
    const wrapped = await provider.wrap(generateKey(), CONTEXT);
    const other = { ...CONTEXT, organizationId: 'c'.repeat(24) };
    await expect(provider.unwrap(wrapped, other)).rejects.toMatchObject({ code: 'authentication' });
  });

  it('shows its key to no serializer and no inspection', () => {
    const rootKey = generateKey();
    const provider = new LocalRootKey(rootKey);
    expect(JSON.parse(JSON.stringify(provider))).toEqual({ keyId: rootKeyId(rootKey) });
    const shown = inspect(provider, { depth: Infinity, showHidden: true });
    for (const encoding of ['hex', 'base64'] as const) expect(shown).not.toContain(rootKey.toString(encoding));
    expect(shown).not.toContain(inspect(rootKey).slice(8, 40));
  });

  it.each([0, 16, 31, 33, 64])('refuses a key of %d bytes', (length) => {
    expect(() => new LocalRootKey(new Uint8Array(length))).toThrow(expect.objectContaining({ code: 'invalid-argument' }));
  });
});

describe('rootKeyId', () => {
  it('is 24 hexadecimal digits, the same for the same key and another for another', () => {
    const key = generateKey();
    expect(rootKeyId(key)).toMatch(/^[0-9a-f]{24}$/);
    expect(rootKeyId(Buffer.from(key))).toBe(rootKeyId(key));
    expect(rootKeyId(generateKey())).not.toBe(rootKeyId(key));
  });
});

describe('parseRootKey', () => {
  it('reads what base64 writes of 32 bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        expect(parseRootKey(Buffer.from(bytes).toString('base64'))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  const GOOD = Buffer.alloc(32, 0xfb).toString('base64');
  it.each([
    ['nothing', ''],
    ['31 bytes', Buffer.alloc(31, 1).toString('base64')],
    ['33 bytes', Buffer.alloc(33, 1).toString('base64')],
    ['hexadecimal', Buffer.alloc(32, 1).toString('hex')],
    ['the URL alphabet', Buffer.alloc(32, 0xfb).toString('base64url')],
    ['no padding', GOOD.slice(0, -1)],
    ['a line feed behind it', `${GOOD}\n`],
    ['a space inside', `${GOOD.slice(0, 10)} ${GOOD.slice(10)}`],
    ['bits set in the last character beyond the last byte', `${GOOD.slice(0, -2)}t=`],
  ])('refuses %s, without quoting it', (_, text) => {
    const refusal = new EnvelopeError(
      'invalid-argument',
      'The root key must be 32 bytes in standard base64: 44 characters that end with "=".',
    );
    expect(() => parseRootKey(text)).toThrow(refusal);
  });
});

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { apiKeyDigest, apiKeyId, formatApiKey, SECRET_BYTES, verifyApiKey, type StoredApiKey } from './api-key.ts';

const ID = '6835c2cd0f3e5a7b9c1d2e3f';
const key = (fill: number) => formatApiKey('production', ID, Buffer.alloc(SECRET_BYTES, fill));
const digest = apiKeyDigest('pepper', key(1));
const stored: StoredApiKey = {
  principal: { organizationId: ID, environment: 'production', apiKeyId: ID, apiKeyName: 'test', permissions: new Set() },
  digest,
  expiresAt: 1_000,
  revoked: false,
};

describe('an API key', () => {
  it('carries its id', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: SECRET_BYTES, maxLength: SECRET_BYTES }), (secret) => {
        expect(apiKeyId(formatApiKey('staging', ID, secret))).toBe(ID);
      }),
    );
  });

  it('is refused with any one character changed', () => {
    const text = key(7);
    for (let index = 0; index < text.length; index += 1) {
      const changed = text.slice(0, index) + (text[index] === 'a' ? 'b' : 'a') + text.slice(index + 1);
      expect(apiKeyId(changed)).toBeNull();
    }
  });

  it.each(['', 'dk_', `${key(1)} `, key(1).toUpperCase()])('is not %j', (text) => {
    expect(apiKeyId(text)).toBeNull();
  });

  it('is verified by its digest, its expiry and its revocation', () => {
    expect(verifyApiKey(stored, digest, 999)).toBe(stored.principal);
    expect(verifyApiKey(stored, digest, 1_000)).toBe('expired');
    expect(verifyApiKey({ ...stored, revoked: true }, digest, 0)).toBe('revoked');
    expect(verifyApiKey(stored, apiKeyDigest('pepper', key(2)), 0)).toBe('wrong-secret');
    expect(verifyApiKey(stored, apiKeyDigest('other pepper', key(1)), 0)).toBe('wrong-secret');
    expect(verifyApiKey(null, digest, 0)).toBe('unknown');
    expect(verifyApiKey(null, Buffer.alloc(32), 0)).toBe('unknown');
  });
});

import { describe, expect, it } from '@jest/globals';
import { ApiAccessPermission } from '@kms/contracts';
import { apiKeyDigest, formatApiKey, type StoredApiKey } from '../domain/api-key.ts';
import { ApiKeyVerifier } from './api-key-verifier.ts';

const PEPPER = 'pepper';
const ID = 'a'.repeat(24);
const KEY = formatApiKey('production', ID, Buffer.alloc(20, 1));
const OTHER_SECRET = formatApiKey('production', ID, Buffer.alloc(20, 2));

const stored = (more: Partial<StoredApiKey> = {}): StoredApiKey => ({
  principal: {
    organizationId: 'b'.repeat(24),
    environment: 'production',
    apiKeyId: ID,
    apiKeyName: 'key',
    permissions: new Set([ApiAccessPermission.KMS_READ]),
  },
  digest: apiKeyDigest(PEPPER, KEY),
  expiresAt: null,
  revoked: false,
  ...more,
});

/** A verifier, and a way to say what the store reads from now on. */
function scene() {
  let reading: Promise<StoredApiKey | null> = Promise.resolve(stored());
  const verifier = new ApiKeyVerifier({ find: () => reading }, PEPPER);
  return { verifier, read: (key: StoredApiKey | null) => (reading = Promise.resolve(key)) };
}

describe('a verifier of API keys', () => {
  it('knows a right key again, and takes no other for it', async () => {
    const { verifier } = scene();
    for (let turn = 0; turn < 3; turn += 1) {
      expect(await verifier.verify(KEY, 0)).toEqual({ principal: stored().principal });
      expect(await verifier.verify(OTHER_SECRET, 0)).toEqual({ failure: 'wrong-secret', id: ID });
    }
  });

  it('forgets a key with what was read of it: a new secret, a revocation and an end count from the next reading on', async () => {
    const { verifier, read } = scene();
    await verifier.verify(KEY, 0);
    read(stored({ digest: apiKeyDigest(PEPPER, OTHER_SECRET) }));
    expect(await verifier.verify(KEY, 0)).toEqual({ failure: 'wrong-secret', id: ID });
    read(stored({ revoked: true }));
    expect(await verifier.verify(KEY, 0)).toEqual({ failure: 'revoked', id: ID });
    read(null);
    expect(await verifier.verify(KEY, 0)).toEqual({ failure: 'unknown', id: ID });
    read(stored());
    expect(await verifier.verify(KEY, 0)).toHaveProperty('principal');
  });

  it('sees the end of a key that it knows', async () => {
    const { verifier, read } = scene();
    read(stored({ expiresAt: 1_000 }));
    expect(await verifier.verify(KEY, 999)).toHaveProperty('principal');
    expect(await verifier.verify(KEY, 1_000)).toEqual({ failure: 'expired', id: ID });
  });

  it('tells a missing key from a malformed one, and asks the store for neither', async () => {
    const verifier = new ApiKeyVerifier({ find: () => Promise.reject(new Error('asked')) }, PEPPER);
    expect(await verifier.verify('', 0)).toEqual({ failure: 'missing', id: null });
    expect(await verifier.verify(`${KEY.slice(0, -1)}x`, 0)).toEqual({ failure: 'malformed', id: null });
    await expect(verifier.verify(KEY, 0)).rejects.toThrow('asked');
  });
});

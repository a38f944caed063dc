import { hash } from 'node:crypto';
import type { Id } from '@kms/contracts';
import { LRUCache } from 'lru-cache';
import { apiKeyDigest, apiKeyId, verifyApiKey, type AuthenticationFailure, type Principal, type StoredApiKey } from '../domain/api-key.ts';

const MAX_KEYS = 10_000;

/** Stored API keys by id; the same promise for as long as what was read may be used. Rejects where the store cannot be asked. */
export interface StoredKeys {
  find(id: Id): Promise<StoredApiKey | null>;
}

export type Verification = { principal: Principal } | { failure: AuthenticationFailure; id: Id | null };

/**
 * Says whose key a text is. The secret of a key is compared once for each time that the key is read from the store, and not once a
 * request: a text that was right for what is still held is right again. Kept of it is its SHA-256, which leads back to no key.
 */
export class ApiKeyVerifier {
  readonly #verified = new LRUCache<string, { id: Id; reading: Promise<StoredApiKey | null> }>({ max: MAX_KEYS });

  constructor(
    readonly keys: StoredKeys,
    readonly pepper: string,
  ) {}

  /** `now` is in milliseconds since the epoch. Rejects as {@link StoredKeys.find} does. */
  async verify(text: string, now: number): Promise<Verification> {
    const fingerprint = hash('sha256', text, 'base64');
    const verified = this.#verified.get(fingerprint);
    const id = verified?.id ?? apiKeyId(text);
    const reading = id === null ? null : this.keys.find(id);
    const stored = await reading;
    const digest = verified?.reading === reading && stored !== null ? stored.digest : apiKeyDigest(this.pepper, text);
    const principal = verifyApiKey(stored, digest, now);
    if (typeof principal === 'string') return { failure: text === '' ? 'missing' : id === null ? 'malformed' : principal, id };
    if (id !== null && reading !== null && verified?.reading !== reading) this.#verified.set(fingerprint, { id, reading });
    return { principal };
  }
}

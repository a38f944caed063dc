import { type ApiAccessPermission, type Environment, type Id } from '@kms/contracts';
import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import type { StoredApiKey } from '../domain/api-key.ts';
import { within } from '../within.ts';

/** How long a key is used as it was read, in milliseconds: a revoked key works for at most this long on a gateway that knew it. */
const MAX_AGE_MS = 1_000;
const MAX_KEYS = 10_000;
/** Longest wait for a key, in milliseconds: less than half of what a reveal may take, since all else comes after it. */
const READ_TIMEOUT_MS = 900;

interface ApiKeyRow {
  id: Id;
  organization_id: Id;
  environment: Environment;
  name: string;
  permissions: ApiAccessPermission[];
  digest: Buffer;
  expires_at: Date | null;
  revoked_at: Date | null;
}

/** Stored API keys by id. What is not there is remembered as well, so that guessing costs the database little. */
export class ApiKeyStore {
  readonly #keys = new LRUCache<Id, Promise<StoredApiKey | null>>({ max: MAX_KEYS, ttl: MAX_AGE_MS });

  readonly lookups = { hit: 0, miss: 0 };

  constructor(readonly pool: pg.Pool) {}

  /** Rejects where the key cannot be read within 900 ms. */
  find(id: Id): Promise<StoredApiKey | null> {
    const known = this.#keys.get(id);
    if (known !== undefined) {
      this.lookups.hit += 1;
      return known;
    }
    this.lookups.miss += 1;
    const reading = within(READ_TIMEOUT_MS, this.#read(id), () => new Error('An API key could not be read in time.'));
    this.#keys.set(id, reading);
    reading.catch(() => this.#keys.delete(id));
    return reading;
  }

  async #read(id: Id): Promise<StoredApiKey | null> {
    const { rows } = await this.pool.query<ApiKeyRow>({ name: 'read-api-key', text: 'SELECT * FROM api_keys WHERE id = $1', values: [id] });
    const [row] = rows;
    if (row === undefined) return null;
    return {
      principal: {
        organizationId: row.organization_id,
        environment: row.environment,
        apiKeyId: row.id,
        apiKeyName: row.name,
        permissions: new Set(row.permissions),
      },
      digest: row.digest,
      expiresAt: row.expires_at?.getTime() ?? null,
      revoked: row.revoked_at !== null,
    };
  }
}

import { randomBytes } from 'node:crypto';
import type { Id } from '@kms/contracts';
import { generateKey, KEY_WRAP_LIMIT, zeroize, type RootKeyProvider } from '@kms/envelope';
import { LRUCache } from 'lru-cache';
import type pg from 'pg';

/** Most organization keys that are kept unwrapped. A key never changes, so what is kept is never stale. */
const MAX_KEYS = 1_000;

/** An organization's key, unwrapped: 32 bytes that the receiver may zeroize. */
export interface OrganizationKey {
  id: string;
  key: Buffer;
}

interface KeyRow {
  id: string;
  wrapped: Buffer;
}

/** A row of keys that the database lacks though a record names it. */
export class KeyMissingError extends Error {
  override readonly name = 'KeyMissingError';
}

/** The organizations' keys: wrapped under the root key in the database, unwrapped only in this process's memory. */
export class KeyRing {
  readonly #unwrapped = new LRUCache<string, Buffer>({ max: MAX_KEYS, dispose: (key) => zeroize(key) });

  readonly lookups = { hit: 0, miss: 0 };
  /** How many keys were wrapped: data keys under an organization's key, and those under the root key. */
  readonly wraps = { data: 0, organization: 0 };

  constructor(readonly rootKey: RootKeyProvider) {}

  /**
   * The key that an organization's next data key is wrapped under, with that use counted in the caller's transaction. A key that has
   * reached its limit retires: it opens what it sealed and wraps nothing more.
   */
  async keyForWrapping(client: pg.ClientBase, organizationId: Id): Promise<OrganizationKey> {
    this.wraps.data += 1;
    const { rows } = await client.query<KeyRow>(
      `UPDATE organization_keys SET wraps = wraps + 1
       WHERE organization_id = $1 AND retired_at IS NULL AND wraps < $2 RETURNING id, wrapped`,
      [organizationId, KEY_WRAP_LIMIT],
    );
    return rows[0] === undefined ? this.#createKey(client, organizationId) : this.#unwrap(organizationId, rows[0]);
  }

  /** An organization's key by its id. */
  async keyForUnwrapping(pool: pg.Pool, organizationId: Id, id: string): Promise<OrganizationKey> {
    const cached = this.#unwrapped.get(id);
    this.lookups[cached === undefined ? 'miss' : 'hit'] += 1;
    if (cached !== undefined) return { id, key: Buffer.from(cached) };
    const { rows } = await pool.query<KeyRow>('SELECT id, wrapped FROM organization_keys WHERE id = $1 AND organization_id = $2', [
      id,
      organizationId,
    ]);
    if (rows[0] === undefined) throw new KeyMissingError(`The organization key ${id} is not in the database.`);
    return this.#unwrap(organizationId, rows[0]);
  }

  async #createKey(client: pg.ClientBase, organizationId: Id): Promise<OrganizationKey> {
    const id = randomBytes(12).toString('hex');
    const key = generateKey();
    this.wraps.organization += 1;
    const wrapped = await this.rootKey.wrap(key, { purpose: 'organization-key', keyId: id, organizationId });
    await client.query('UPDATE organization_keys SET retired_at = now() WHERE organization_id = $1 AND retired_at IS NULL', [
      organizationId,
    ]);
    await client.query('INSERT INTO organization_keys (id, organization_id, root_key_id, wrapped, wraps) VALUES ($1, $2, $3, $4, 1)', [
      id,
      organizationId,
      this.rootKey.keyId,
      wrapped,
    ]);
    return { id, key };
  }

  async #unwrap(organizationId: Id, { id, wrapped }: KeyRow): Promise<OrganizationKey> {
    const key = await this.rootKey.unwrap(wrapped, { purpose: 'organization-key', keyId: id, organizationId });
    // The cache wipes what it drops, so nobody else may hold the same bytes.
    this.#unwrapped.set(id, Buffer.from(key));
    return { id, key };
  }
}

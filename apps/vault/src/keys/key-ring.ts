import { EnvelopeError, generateKey, KEY_WRAP_LIMIT, unwrapKey, wrapKey, type SealingKey } from '@kms/envelope';
import type { Id } from '@kms/contracts';
import { LRUCache } from 'lru-cache';
import type pg from 'pg';

/** Most organization keys that are kept unwrapped. A key never changes, so what is kept is never stale. */
const MAX_KEYS = 1_000;

/** What runs a query: a connection, a pool. */
export interface Queryable {
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<{ rows: Row[] }>;
}

interface KeyRow {
  id: string;
  wrapped: Buffer;
}

/** The organizations' keys, wrapped under the root key in the database, unwrapped only in this process's memory. */
export class KeyRing {
  readonly #unwrapped = new LRUCache<string, SealingKey>({ max: MAX_KEYS, dispose: ({ key }) => key.fill(0) });

  constructor(readonly rootKey: SealingKey) {}

  /**
   * The key that an organization's next data key is wrapped under, with that use counted in the caller's transaction. A key that has
   * reached its limit retires: it opens what it sealed and seals nothing more.
   */
  async keyForWrapping(client: pg.ClientBase, organizationId: Id): Promise<SealingKey> {
    const counted = await client.query<KeyRow>(
      `UPDATE organization_keys SET wraps = wraps + 1
       WHERE organization_id = $1 AND retired_at IS NULL AND wraps < $2 RETURNING id, wrapped`,
      [organizationId, KEY_WRAP_LIMIT],
    );
    const [row] = counted.rows;
    return row === undefined ? this.#createKey(client, organizationId) : this.#unwrap(organizationId, row);
  }

  /** An organization's key by its id. */
  async keyForUnwrapping(database: Queryable, organizationId: Id, keyId: string): Promise<SealingKey> {
    const cached = this.#unwrapped.get(keyId);
    if (cached !== undefined) return copy(cached);
    const { rows } = await database.query<KeyRow>('SELECT id, wrapped FROM organization_keys WHERE id = $1 AND organization_id = $2', [
      keyId,
      organizationId,
    ]);
    if (rows[0] === undefined) throw new EnvelopeError('wrong-key-id');
    return this.#unwrap(organizationId, rows[0]);
  }

  async #createKey(client: pg.ClientBase, organizationId: Id): Promise<SealingKey> {
    const key = generateKey();
    await client.query('UPDATE organization_keys SET retired_at = now() WHERE organization_id = $1 AND retired_at IS NULL', [organizationId]);
    await client.query('INSERT INTO organization_keys (id, organization_id, root_key_id, wrapped, wraps) VALUES ($1, $2, $3, $4, 1)', [
      key.id,
      organizationId,
      this.rootKey.id,
      wrapKey(this.rootKey, key, organizationContext(organizationId)),
    ]);
    return key;
  }

  #unwrap(organizationId: Id, { id, wrapped }: KeyRow): SealingKey {
    const cached = this.#unwrapped.get(id);
    if (cached !== undefined) return copy(cached);
    const key = unwrapKey(this.rootKey, id, organizationContext(organizationId), wrapped);
    this.#unwrapped.set(id, copy(key));
    return key;
  }
}

/** The cache wipes what it drops, so nobody else may hold the same bytes. */
const copy = ({ id, key }: SealingKey): SealingKey => ({ id, key: Buffer.from(key) });

const organizationContext = (organizationId: Id) => ['organization-key', organizationId];

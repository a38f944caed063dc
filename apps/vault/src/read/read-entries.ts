import type { ConfigurationReply, ListReply, ListRequest, PolicyReply, PolicyRequest, ReadRequest } from '@kms/contracts';
import type pg from 'pg';
import { toConfiguration, toPolicy, type Entry } from '../domain/entry.ts';
import { fromRow, type EntryRow } from '../write/entry-store.ts';

/** Reads of entries, always as they are stored now. A deleted entry is not there. */
export class ReadEntries {
  constructor(readonly pool: pg.Pool) {}

  async policy(request: PolicyRequest): Promise<PolicyReply> {
    const entry = await this.#find(request);
    return { policy: entry && toPolicy(entry) };
  }

  async configuration(request: ReadRequest): Promise<ConfigurationReply> {
    const entry = await this.#find(request);
    return entry === null ? { status: 'refused', code: 'unknown-handler' } : { status: 'ok', value: toConfiguration(entry) };
  }

  /** One page of the inventory, oldest first. */
  async list({ organizationId, environment, size, page }: ListRequest): Promise<ListReply> {
    const counted = await this.pool.query<{ count: string }>(
      'SELECT entries AS count FROM entry_counts WHERE organization_id = $1 AND environment = $2',
      [organizationId, environment],
    );
    const { rows } = await this.pool.query<{ id: string; name: string; handler: string }>(
      `SELECT id, name, handler FROM entries WHERE organization_id = $1 AND environment = $2 AND deleted_at IS NULL
       ORDER BY id LIMIT $3 OFFSET $4`,
      [organizationId, environment, size, (page - 1) * size],
    );
    return { status: 'ok', value: { count: Number(counted.rows[0]?.count ?? 0), elements: rows } };
  }

  async #find({ organizationId, environment, handler }: PolicyRequest): Promise<Entry | null> {
    const { rows } = await this.pool.query<EntryRow>({
      name: 'find-entry',
      text: 'SELECT * FROM entries WHERE organization_id = $1 AND environment = $2 AND handler = $3 AND deleted_at IS NULL',
      values: [organizationId, environment, handler],
    });
    return rows[0] === undefined ? null : fromRow(rows[0]);
  }
}

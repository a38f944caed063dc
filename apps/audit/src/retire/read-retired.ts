import type { Id } from '@kms/contracts';
import type pg from 'pg';

/** What has left an organization's ledger: its first `size` records, whole tiles. */
export interface Retired {
  size: number;
  /** The latest time of one of them, in seconds since 1970; null where there is none. */
  latest: number | null;
}

export async function readRetired(pool: pg.Pool, organizationId: Id): Promise<Retired> {
  const { rows } = await pool.query<Retired>({
    name: 'read-retired',
    text: `SELECT size::float8 AS size, extract(epoch FROM latest)::float8 AS latest
           FROM retired_logs WHERE organization_id = $1 ORDER BY era DESC LIMIT 1`,
    values: [organizationId],
  });
  return rows[0] ?? { size: 0, latest: null };
}

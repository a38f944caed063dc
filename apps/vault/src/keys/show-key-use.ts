import { KEY_WRAP_LIMIT } from '@kms/envelope';
import type { Metrics } from '@kms/platform';
import type pg from 'pg';
import type { KeyRing } from './key-ring.ts';

/** Shows how much the keys were used: by this process, and by all as the database counts it. A key is never named. */
export function showKeyUse(metrics: Metrics, pool: pg.Pool, wraps: KeyRing['wraps']): void {
  metrics.counts('kms_key_wraps_total', 'Keys that were wrapped, by what they are', 'key', wraps);
  metrics.gauge('kms_organization_key_wraps_max', 'Wraps of the active organization key that has most', () =>
    read(pool, 'SELECT coalesce(max(wraps), 0) AS value FROM organization_keys WHERE retired_at IS NULL'),
  );
  metrics.gauge('kms_root_key_wraps', 'Organization keys that the root key has wrapped', () =>
    read(pool, 'SELECT count(*) AS value FROM organization_keys'),
  );
  metrics.gauge('kms_key_wraps_limit', 'Wraps after which a key retires', () => [{ value: KEY_WRAP_LIMIT }]);
}

async function read(pool: pg.Pool, query: string): Promise<{ value: number }[]> {
  const { rows } = await pool.query<{ value: string }>(query);
  return [{ value: Number(rows[0]?.value) }];
}

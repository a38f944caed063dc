import type { Metrics } from '@kms/platform';
import type pg from 'pg';
import type { PublishCheckpoints } from './publish-checkpoints.ts';

// A loose scan over the organizations: of each the first record that its newest checkpoint does not cover.
const OLDEST_UNSIGNED = `
  WITH RECURSIVE organizations AS (
    SELECT min(organization_id) AS id FROM ledger_heads
    UNION ALL
    SELECT (SELECT min(organization_id) FROM ledger_heads WHERE organization_id > organizations.id) FROM organizations WHERE id IS NOT NULL)
  SELECT greatest(0, extract(epoch FROM now() - min(first.time)))::float8 AS age FROM organizations
  CROSS JOIN LATERAL (
    SELECT time FROM ledger_records WHERE organization_id = id AND leaf_index = coalesce((
      SELECT size FROM ledger_checkpoints WHERE organization_id = id ORDER BY size DESC LIMIT 1), 0)) AS first`;

/** Shows whether the records come under checkpoints: no organization is named. */
export function showCheckpoints(metrics: Metrics, pool: pg.Pool, checkpoints: PublishCheckpoints): void {
  const help = 'Age of the oldest record in the ledger that no checkpoint covers, 0 where there is none';
  metrics.gauge('kms_unsigned_record_age_seconds', help, async () => {
    const { rows } = await pool.query<{ age: number | null }>(OLDEST_UNSIGNED);
    return [{ value: rows[0]?.age ?? 0 }];
  });
  metrics.gauge('kms_inconsistent_logs', 'Logs that are not signed on because they are not what was signed', () => [
    { value: checkpoints.refusedLogs },
  ]);
  metrics.counter('kms_checkpoint_rounds_total', 'Rounds over all logs for new checkpoints', () => [{ value: checkpoints.rounds }]);
}

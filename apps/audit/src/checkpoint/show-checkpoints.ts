import type { Metrics } from '@kms/platform';
import type pg from 'pg';
import type { PublishCheckpoints } from './publish-checkpoints.ts';
import { readUnsignedAge } from './unsigned-age.ts';

/** Shows whether the records come under checkpoints: no organization is named. */
export function showCheckpoints(metrics: Metrics, pool: pg.Pool, checkpoints: PublishCheckpoints): void {
  const help = 'For how long the oldest record that no checkpoint covers has been in the ledger, 0 where there is none';
  metrics.gauge('kms_unsigned_record_age_seconds', help, async () => [{ value: await readUnsignedAge(pool) }]);
  metrics.gauge('kms_inconsistent_logs', 'Logs that are not signed on because they are not what was signed', () => [
    { value: checkpoints.refusedLogs },
  ]);
  metrics.counter('kms_checkpoint_rounds_total', 'Rounds over all logs for new checkpoints', () => [{ value: checkpoints.rounds }]);
}

import type { Monitor } from '@kms/platform';
import type { Witness } from './add-checkpoint.ts';

/**
 * Shows what a witness does to those who watch it. No label names a log: whoever holds a log's key makes as many as they like. It lives while what
 * is asked of it comes to an end, also to a bad one; a disk that does not answer is what it can hang on.
 */
export function showWitness({ metrics, health }: Pick<Monitor, 'metrics' | 'health'>, witness: Witness): void {
  metrics.counts(
    'kms_witness_checkpoints_total',
    'Checkpoints that were to be cosigned, by what became of it',
    'outcome',
    witness.outcomes,
  );
  metrics.gauge('kms_witness_idle_seconds', 'Time since a checkpoint was cosigned, or since the start', () => [
    { value: witness.idleMs / 1_000 },
  ]);
  health.progress('answers', () => ({ hasWork: witness.underWay > 0, attempts: witness.answered }));
}

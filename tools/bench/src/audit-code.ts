import { createLogger } from '@kms/platform';
import type pg from 'pg';

/** What the benchmark calls of the audit service's own compiled code, past its doors: nothing of it is written again here. */

/** `AppendBatch` of `ingest/append-batch.ts`. */
export interface Ledger {
  handle(batch: {
    topic: string;
    partition: number;
    messages: readonly { offset: bigint; key: Buffer; value: Buffer }[];
    nextOffset: bigint;
  }): Promise<void>;
}

/** `Prover` of `proofs/prove.ts`. */
export interface Prover {
  proveRecord(organizationId: string, recordId: string): Promise<{ status: string }>;
}

const load = (path: string) =>
  import(new URL(`../../../apps/audit/dist/${path}.js`, import.meta.url).href) as Promise<Record<string, unknown>>;

export async function openLedger(pool: pg.Pool, operatorOrganizationId: string): Promise<Ledger> {
  const { AppendBatch } = (await load('ingest/append-batch')) as { AppendBatch: new (dependencies: object) => Ledger };
  return new AppendBatch({ pool, operatorOrganizationId, logger: createLogger('bench'), now: () => new Date() });
}

export async function openProver(pool: pg.Pool): Promise<Prover> {
  const { Prover } = (await load('proofs/prove')) as { Prover: new (pool: pg.Pool) => Prover };
  return new Prover(pool);
}

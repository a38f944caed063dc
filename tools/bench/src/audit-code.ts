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

/** `proveRecord` of `proofs/prove.ts`. */
export type ProveRecord = (pool: pg.Pool, organizationId: string, recordId: string) => Promise<{ status: string }>;

const load = (path: string) =>
  import(new URL(`../../../apps/audit/dist/${path}.js`, import.meta.url).href) as Promise<Record<string, unknown>>;

export async function openLedger(pool: pg.Pool, operatorOrganizationId: string): Promise<Ledger> {
  const { AppendBatch } = (await load('ingest/append-batch')) as { AppendBatch: new (dependencies: object) => Ledger };
  return new AppendBatch({ pool, operatorOrganizationId, logger: createLogger('bench'), now: () => new Date() });
}

export async function loadProveRecord(): Promise<ProveRecord> {
  return (await load('proofs/prove'))['proveRecord'] as ProveRecord;
}

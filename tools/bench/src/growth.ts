import type { Bench } from './bench.ts';
import { runWorker } from './run-worker.ts';

/** Makes records in the journal and the ledger until there are so many. */
export async function growRecords({ suite, counts, signal, say }: Bench, target: number): Promise<void> {
  await counts.untilCaughtUp(signal);
  const count = target - (await counts.held());
  if (count <= 0) return;
  say(`Making ${count} records.`);
  const { vault, audit } = suite.databases;
  const task = { vaultUrl: vault.serviceUrl, auditUrl: audit.serviceUrl, organizationId: suite.organizationId, count };
  await runWorker('fill', task, { signal, onProgress: everySo(100_000, say) });
}

/** Makes entries `bench-FIRST`… up to `bench-LAST` below `end`, and waits until the ledger has their records. */
export async function growEntries({ suite, counts, signal, say }: Bench, first: number, end: number, contentBytes: number): Promise<void> {
  say(`Making ${end - first} entries.`);
  const { rootKeyFile, organizationId, databases } = suite;
  const task = { vaultUrl: databases.vault.serviceUrl, rootKeyFile, organizationId, first, count: end - first, contentBytes };
  await runWorker('entries', task, { signal, onProgress: everySo(20_000, say) });
  await counts.untilCaughtUp(signal);
}

const everySo = (step: number, say: (line: string) => void) => (done: number) => {
  if (done % step === 0) say(`${done} made.`);
};

import pg from 'pg';
import { migrate, type DatabaseUrls } from '@kms/launcher';
import { setTimeout as pause } from 'node:timers/promises';
import type { Bench } from './bench.ts';
import { percentile } from './percentile.ts';
import type { Plan } from './plan.ts';
import type { AppendFigures, LedgerCosts } from './result.ts';
import { runWorker } from './run-worker.ts';
import type { Suite } from './suite.ts';

const PROOFS = 1_000;
const VERIFIED = 200_000;
/** How long the checkpoint over all records may take, in milliseconds. */
const PATIENCE_MS = 30_000;

/** What appending, proving and verifying cost, and how much room a record takes. */
export async function measureLedgerCosts(bench: Bench, { appended, appendRounds }: Plan): Promise<LedgerCosts> {
  const { suite, counts, signal, say } = bench;
  const [withTree, withoutTree] = await measureAppends(bench, appended, appendRounds);
  await counts.untilCaughtUp(signal);
  const records = await counts.held();
  await untilSigned(bench, records);
  const ledger = { auditUrl: suite.databases.audit.serviceUrl, organizationId: suite.organizationId };
  const { timesMs } = await runWorker('prove', { ...ledger, count: PROOFS }, { signal });
  say(`Proofs in ${records} records: p50 ${percentile(timesMs, 0.5).toFixed(2)} ms.`);
  const verified = await runWorker('verify', { ...ledger, count: Math.min(VERIFIED, records) }, { signal });
  say(`Verified ${verified.count} records, ${Math.round(verified.perSecond)}/s.`);
  return {
    withTree,
    withoutTree,
    proof: { records, p50Ms: percentile(timesMs, 0.5), p99Ms: percentile(timesMs, 0.99) },
    verifiedPerSecond: verified.perSecond,
    bytesPerRecord: await bytesPerRecord(suite, records),
  };
}

async function measureAppends({ suite, signal, say }: Bench, count: number, rounds: number): Promise<[AppendFigures, AppendFigures]> {
  const sums = [0, 1].map(() => ({ elapsedMs: 0, cpuMs: 0, postgresMs: 0 }));
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, sum] of sums.entries()) {
      const isWithoutTree = index === 1;
      const urls = await createLedger(suite, `kms_append_${round}_${index}`, signal);
      const task = { auditUrl: urls.serviceUrl, organizationId: suite.organizationId, count };
      const { elapsedMs, cpuMs, postgresMs, heads } = await runWorker('append', task, { signal, isWithoutTree });
      if (isWithoutTree !== (heads === 0)) throw new Error(`Appending ${isWithoutTree ? 'without' : 'with'} the tree made ${heads} heads.`);
      say(`Appended ${count} records ${isWithoutTree ? 'without' : 'with'} the tree, ${Math.round((count / elapsedMs) * 1e3)}/s.`);
      sum.elapsedMs += elapsedMs;
      sum.cpuMs += cpuMs;
      sum.postgresMs += postgresMs;
    }
  }
  const all = count * rounds;
  return sums.map(({ elapsedMs, cpuMs, postgresMs }) => ({
    recordsPerSecond: (all / elapsedMs) * 1e3,
    cpuMsPerRecord: cpuMs / all,
    postgresMsPerRecord: postgresMs / all,
  })) as [AppendFigures, AppendFigures];
}

/** An empty ledger beside the suite's own. */
async function createLedger({ superuserUrl, databases }: Suite, name: string, signal: AbortSignal): Promise<DatabaseUrls> {
  const client = new pg.Client({ connectionString: superuserUrl });
  await client.connect();
  await client.query(`CREATE DATABASE ${name} OWNER kms_audit_owner`).finally(() => client.end());
  const inside = (url: string) => {
    const target = new URL(url);
    target.pathname = `/${name}`;
    return target.href;
  };
  const urls = { ownerUrl: inside(databases.audit.ownerUrl), serviceUrl: inside(databases.audit.serviceUrl) };
  await migrate('audit', urls, signal);
  return urls;
}

async function untilSigned({ suite, counts, signal }: Bench, size: number): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while ((await counts.signed(suite.organizationId)) < size) {
    if (performance.now() > deadline) throw new Error(`No checkpoint over ${size} records was signed.`);
    await pause(100, undefined, { signal });
  }
}

// A table that is cut into parts has its bytes in them.
const SIZES = `
  WITH parts AS (SELECT 'ledger_records'::regclass AS id UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = 'ledger_records'::regclass)
  SELECT (SELECT sum(pg_table_size(id)) FROM parts)::float8 AS table, (SELECT sum(pg_indexes_size(id)) FROM parts)::float8 AS indexes,
         (pg_total_relation_size('ledger_heads') + pg_total_relation_size('ledger_nodes') +
          pg_total_relation_size('ledger_checkpoints'))::float8 AS tree,
         (SELECT avg(length(bytes)) FROM (SELECT bytes FROM ledger_records LIMIT 10000) AS sample)::float8 AS event`;

async function bytesPerRecord({ databases }: Suite, records: number): Promise<LedgerCosts['bytesPerRecord']> {
  const client = new pg.Client({ connectionString: databases.audit.ownerUrl });
  await client.connect();
  const { rows } = await client.query<LedgerCosts['bytesPerRecord']>(SIZES).finally(() => client.end());
  const { table, indexes, tree, event } = rows[0] as LedgerCosts['bytesPerRecord'];
  return { event, table: table / records, indexes: indexes / records, tree: tree / records };
}

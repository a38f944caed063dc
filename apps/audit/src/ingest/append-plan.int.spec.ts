import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createPool, migrate, withClient } from '@kms/postgres';
import { startTestPostgres, type TestPostgres } from '@kms/testing';
import type pg from 'pg';
import { AUDIT_MIGRATIONS, auditGrants } from '../migrations/index.ts';
import { openEra } from '../retire/eras.ts';
import { WriterAndLedger } from '../retire/retired-log.fixture.ts';

const ORGANIZATION = '1'.repeat(24);
const ERAS = 8;

interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  Plans?: PlanNode[];
}

let postgres: TestPostgres;
let pool: pg.Pool;
/** The writer whose events are in all eras. */
let written: WriterAndLedger;
const folder = mkdtempSync(join(tmpdir(), 'kms-plan-'));

beforeAll(async () => {
  postgres = await startTestPostgres();
  const database = await postgres.createDatabase();
  await migrate({ ...database, migrations: AUDIT_MIGRATIONS, grants: auditGrants });
  pool = createPool(database.serviceUrl, () => undefined, 1);
  written = new WriterAndLedger(pool, folder);
  for (let era = 1; era < ERAS; era += 1) {
    await written.append(ORGANIZATION, 200);
    await withClient(database.ownerUrl, openEra);
  }
  await withClient(database.ownerUrl, (client) => client.query('VACUUM ANALYZE ledger_records'));
}, 60_000);
afterAll(async () => {
  await pool.end();
  await postgres.stop();
  rmSync(folder, { recursive: true });
});

/** The pool, with the plans by which its named statements were carried out. */
class ObservedPool {
  readonly plans = new Map<string, PlanNode[]>();

  async connect(): Promise<object> {
    const client = await pool.connect();
    const query = async (given: string | { name: string; text: string; values: unknown[] }, values?: unknown[]) => {
      if (typeof given === 'string') return client.query(given, values);
      const isWrite = given.text.trimStart().startsWith('INSERT');
      const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
        `EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${given.text}`,
        given.values,
      );
      this.plans.set(given.name, nodesOf(rows[0]?.['QUERY PLAN'][0].Plan as PlanNode));
      // To explain a write with its figures is to carry it out.
      return isWrite ? { rows: [] } : client.query(given.text, given.values);
    };
    return { query, release: () => client.release() };
  }
}

const nodesOf = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)];
const inPartitions = (nodes: readonly PlanNode[] = []) => nodes.filter((node) => node['Relation Name']?.startsWith('ledger_records_'));

it('an append of new events writes one partition, and looks into each other one once for each writer, not for each event', async () => {
  const observed = new ObservedPool();
  await new WriterAndLedger(observed as unknown as pg.Pool, folder).send(ORGANIZATION, written.make(ORGANIZATION, 500));

  const { rows } = await pool.query(
    'SELECT tableoid::regclass::text AS partition, count(*)::int AS count FROM ledger_records WHERE sequence > $1 GROUP BY 1',
    [200 * (ERAS - 1)],
  );
  expect(rows).toEqual([{ partition: `ledger_records_${ERAS - 1}`, count: 500 }]);
  expect(inPartitions(observed.plans.get('insert-records'))).toEqual([]);
  expect(observed.plans.has('read-known')).toBe(false);
  const looks = inPartitions(observed.plans.get('read-highest'));
  expect(looks.map((node) => node['Relation Name']).sort()).toEqual(Array.from({ length: ERAS }, (_, era) => `ledger_records_${era}`));
  for (const look of looks) {
    expect(look).toMatchObject({
      'Node Type': 'Index Only Scan',
      'Actual Loops': 1,
      'Index Name': expect.stringContaining('writer_sequence'),
    });
    expect(look['Actual Rows']).toBeLessThanOrEqual(1);
  }
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { migrate, withClient } from '@kms/postgres';
import { startTestPostgres, type TestDatabase, type TestPostgres } from '@kms/testing';
import pg from 'pg';
import { AUDIT_MIGRATIONS, auditGrants } from '../migrations/index.ts';
import { readGaps } from '../completeness/read-completeness.ts';
import { LedgerTiles } from '../proofs/ledger-tiles.ts';
import { Prover } from '../proofs/prove.ts';
import { openEra } from '../retire/eras.ts';
import { queryLedger } from './query-ledger.ts';

const ORGANIZATION = '1'.repeat(24);
const ERAS = 3;

let postgres: TestPostgres;
let database: TestDatabase;

/** 40,000 records of two organizations, in three eras, with 200 handlers, keys and addresses; one in a hundred is refused. */
const FILL = `
  INSERT INTO ledger_records (era, organization_id, leaf_index, bytes, leaf_hash, writer, sequence, record_id, time, handler, outcome, api_key_id, address)
  SELECT n / 15000, repeat(CASE WHEN n % 2 = 0 THEN '1' ELSE '2' END, 24), n / 2, repeat('x', 700)::bytea, repeat('h', 32)::bytea, repeat('a', 24), n + 1, n::text,
         timestamptz '2026-01-01' + n * interval '1 second', 'handler-' || n % 200, CASE WHEN n % 100 = 0 THEN 'denied' ELSE 'success' END,
         lpad((n % 200)::text, 24, '0'), ('10.0.' || n % 200 || '.1')::inet
  FROM generate_series(0, 39999) AS n`;

beforeAll(async () => {
  postgres = await startTestPostgres();
  database = await postgres.createDatabase();
  await migrate({ ...database, migrations: AUDIT_MIGRATIONS, grants: auditGrants });
  await withClient(database.ownerUrl, async (client) => {
    for (let era = 1; era < ERAS; era += 1) await openEra(client);
  });
  await withClient(database.serviceUrl, (client) => client.query(FILL));
  await withClient(database.ownerUrl, async (client) => {
    await client.query(
      "SELECT brin_summarize_new_values(oid) FROM pg_class WHERE relkind = 'i' AND relam = (SELECT oid FROM pg_am WHERE amname = 'brin')",
    );
    await client.query('VACUUM ANALYZE ledger_records');
  });
}, 60_000);

afterAll(() => postgres.stop());

/** A pool that answers nothing and notes how the server would go about each query. */
class ExplainingPool {
  readonly plans: string[] = [];

  constructor(readonly client: pg.ClientBase) {}

  async query(query: string | { text: string; values: unknown[] }, values: unknown[] = []): Promise<{ rows: unknown[] }> {
    const [text, parameters] = typeof query === 'string' ? [query, values] : [query.text, query.values];
    const { rows } = await this.client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${text}`, parameters);
    this.plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'));
    return { rows: [] };
  }
}

describe('a query of the ledger', () => {
  it.each([
    ['no filter', {}],
    ['a handler', { handler: 'handler-2' }],
    ['an outcome', { outcome: 'denied' }],
    ['an API key', { apiKey: '2'.padStart(24, '0') }],
    ['an address', { ip: '10.0.2.1' }],
    ['a range of addresses', { ip: '10.0.2.0/24' }],
    ['a time', { from: '2026-01-01T01:00:00Z', to: '2026-01-01T01:10:00Z' }],
    ['a deep page', { handler: 'handler-2', page: 2 }],
  ] as const)('by %s uses an index', async (_what, filter) => {
    await withClient(database.serviceUrl, async (client) => {
      const pool = new ExplainingPool(client);
      await queryLedger(pool as unknown as pg.Pool, { organizationId: ORGANIZATION, query: { size: 100, page: 1, ...filter } });
      expect(pool.plans.filter((plan) => plan.includes('ledger_records_')).length).toBeGreaterThan(0);
      for (const plan of pool.plans) {
        expect(plan).toMatch(/Index/);
        expect(plan).not.toMatch(/Seq Scan/);
      }
    });
  });
});

describe('a look into the ledger', () => {
  const looks: [what: string, index: string, look: (pool: pg.Pool) => Promise<unknown>][] = [
    ['for a record by its id', 'record_id_idx', (pool) => new Prover(pool).proveRecord(ORGANIZATION, '5'.repeat(24))],
    ['for a tile of leaves', 'pkey', (pool) => new LedgerTiles(pool, ORGANIZATION).readTiles([{ level: 0, index: 3, width: 256 }])],
    ['for a bundle of records', 'pkey', (pool) => new LedgerTiles(pool, ORGANIZATION).readEntries(256, 512, 1_000)],
    ['for what is behind a writer’s number', 'writer_sequence_key', (pool) => readGaps(pool, 'a'.repeat(24), 39_000, 10)],
  ];
  it.each(looks)('%s asks an index of each era, and nothing else', async (_what, index, look) => {
    await withClient(database.serviceUrl, async (client) => {
      const pool = new ExplainingPool(client);
      await look(pool as unknown as pg.Pool).catch((error: unknown) => {
        if (!(error instanceof Error) || (error.name !== 'TileMissingError' && !(error instanceof TypeError))) throw error;
      });
      const [plan = ''] = pool.plans;
      expect(plan).not.toMatch(/Seq Scan/);
      for (let era = 0; era < ERAS; era += 1) expect(plan).toMatch(new RegExp(`ledger_records_${era}_${index}`));
    });
  });

  it('for a tile of whatever width is planned once, not each time', async () => {
    await withClient(database.serviceUrl, async (client) => {
      const tiles = new LedgerTiles(client as unknown as pg.Pool, ORGANIZATION);
      for (let index = 0; index < 20; index += 1) expect(await tiles.readTiles([{ level: 0, index, width: 3 }])).toHaveLength(1);
      const { rows } = await client.query(
        "SELECT custom_plans::int AS custom, generic_plans::int AS generic FROM pg_prepared_statements WHERE name = 'read-leaves'",
      );
      // PostgreSQL makes five plans before it compares.
      expect(rows).toEqual([{ custom: 5, generic: 15 }]);
    });
  });
});

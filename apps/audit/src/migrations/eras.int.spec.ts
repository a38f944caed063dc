import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createPool, migrate, withClient } from '@kms/postgres';
import { startTestPostgres, type TestPostgres } from '@kms/testing';
import { append, ORGANIZATION } from '../checkpoint/log.fixture.ts';
import { readHead } from '../ingest/extend-tree.ts';
import { Eras1764800000000 } from './1764800000000-eras.ts';
import { AUDIT_MIGRATIONS, auditGrants } from './index.ts';

/** What the version before eras granted its role. */
const formerGrants = (role: string) => [
  `GRANT SELECT, INSERT ON ledger_records, ledger_nodes, ledger_heads, ledger_checkpoints, sent_checkpoints, writer_chains, parked_messages,
   parked_events, consumed_offsets TO ${role}`,
];
/** What that version had written: records with their columns, one of them with a message beside it. */
const FILL = `
  INSERT INTO ledger_records (organization_id, leaf_index, bytes, leaf_hash, writer, sequence, record_id, time, handler, outcome, api_key_id, address)
  SELECT '${ORGANIZATION}', n, convert_to(n::text, 'UTF8'), sha256('\\x00'::bytea || convert_to(n::text, 'UTF8')), 'writer', n + 1, n::text, now(), 'handler',
         'success', 'key', '192.0.2.1' FROM generate_series(0, 299) AS n`;
const PARKED = `INSERT INTO parked_messages VALUES ('${ORGANIZATION}', 7, 'topic', 0, 7, null, 'value')`;
const HELD =
  'SELECT organization_id, leaf_index, bytes, leaf_hash, writer, sequence, record_id, time, handler, outcome, api_key_id, address FROM ledger_records ORDER BY leaf_index';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

it('the migration to eras leaves every record where it is, as all of era 0, and the role with no right to a part of the ledger', async () => {
  const database = await postgres.createDatabase();
  await migrate({ ...database, migrations: AUDIT_MIGRATIONS.slice(0, AUDIT_MIGRATIONS.indexOf(Eras1764800000000)), grants: formerGrants });
  const before = await withClient(database.serviceUrl, async (client) => {
    await client.query(FILL);
    await client.query(PARKED);
    return (await client.query(HELD)).rows;
  });
  const file = () =>
    withClient(database.ownerUrl, async (client) => (await client.query("SELECT pg_relation_filenode('ledger_by_handler') AS index")).rows);
  const [{ index: filenode }] = (await file()) as [{ index: string }];
  await migrate({ ...database, migrations: AUDIT_MIGRATIONS, grants: auditGrants });

  await withClient(database.ownerUrl, async (client) => {
    expect((await client.query(HELD)).rows).toEqual(before);
    expect((await client.query('SELECT DISTINCT tableoid::regclass::text AS partition, era FROM ledger_records')).rows).toEqual([
      { partition: 'ledger_records_0', era: 0 },
    ]);
    expect((await client.query('SELECT leaf_index::int AS at FROM parked_messages')).rows).toEqual([{ at: 7 }]);
    // Every index of the whole has taken over the one that was there, and built none again but the new one.
    const { rows } = await client.query<{ name: string; parent: string | null; filenode: string }>(
      `SELECT indexrelid::regclass::text AS name, (SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = indexrelid) AS parent,
              pg_relation_filenode(indexrelid) AS filenode FROM pg_index WHERE indrelid = 'ledger_records_0'::regclass ORDER BY 1`,
    );
    expect(rows.map(({ name, parent }) => [name, parent])).toEqual([
      ['ledger_records_0_by_address', 'ledger_by_address'],
      ['ledger_records_0_by_api_key', 'ledger_by_api_key'],
      ['ledger_records_0_by_handler', 'ledger_by_handler'],
      ['ledger_records_0_by_refusal', 'ledger_by_refusal'],
      ['ledger_records_0_by_time', 'ledger_by_time'],
      ['ledger_records_0_pkey', null],
      ['ledger_records_0_record_id_idx', 'ledger_by_id'],
      ['ledger_records_0_writer_sequence_key', null],
    ]);
    expect(rows.find(({ name }) => name === 'ledger_records_0_by_handler')?.filenode).toBe(filenode);
  });
  const pool = createPool(database.serviceUrl, () => undefined);
  try {
    await expect(pool.query('INSERT INTO ledger_records_0 SELECT * FROM ledger_records LIMIT 0')).rejects.toThrow('permission denied');
    await expect(pool.query('SELECT FROM ledger_records_0')).rejects.toThrow('permission denied');
    const other = '2'.repeat(24);
    await append(pool, 3, other);
    expect((await readHead(pool, other)).size).toBe(3);
  } finally {
    await pool.end();
  }
}, 60_000);

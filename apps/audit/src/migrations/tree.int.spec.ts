import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CompactRange } from '@kms/merkle';
import { createPool, migrate, withClient } from '@kms/postgres';
import { startTestPostgres, type TestDatabase, type TestPostgres } from '@kms/testing';
import { readHead } from '../ingest/extend-tree.ts';
import { AUDIT_MIGRATIONS, auditGrants } from './index.ts';

const SIZES = [
  ['1'.repeat(24), 300],
  ['2'.repeat(24), 1],
] as const;

/** What the ledger of the version before the tree held. */
const FILL = `
  INSERT INTO ledger_records (organization_id, leaf_index, bytes, leaf_hash, writer, sequence, record_id, type, time, action, outcome)
  SELECT $1, n, convert_to(n::text, 'UTF8'), sha256(convert_to(n::text, 'UTF8')), $1, n + 1, n::text, 'type', now(), 'reveal', 'success'
  FROM generate_series(0, $2::int - 1) AS n`;

let postgres: TestPostgres;
let database: TestDatabase;

beforeAll(async () => {
  postgres = await startTestPostgres();
  database = await postgres.createDatabase();
});
afterAll(() => postgres.stop());

describe('the migration that adds the tree', () => {
  it('builds each organization’s over the records that are there, and leaves them as they are', async () => {
    await migrate({ ...database, migrations: AUDIT_MIGRATIONS.slice(0, 1), grants: () => [] });
    await withClient(database.ownerUrl, async (client) => {
      for (const [organizationId, size] of SIZES) await client.query(FILL, [organizationId, size]);
    });
    await migrate({ ...database, migrations: AUDIT_MIGRATIONS, grants: auditGrants });

    const pool = createPool(database.serviceUrl, () => undefined);
    for (const [organizationId, size] of SIZES) {
      const expected = CompactRange.empty();
      for (let n = 0; n < size; n += 1) expected.append(createHash('sha256').update(String(n)).digest());
      const head = await readHead(pool, organizationId);
      expect([head.size, head.root()]).toEqual([size, expected.root()]);
      const { rows } = await pool.query<{ bytes: Buffer }>(
        'SELECT bytes FROM ledger_records WHERE organization_id = $1 ORDER BY leaf_index',
        [organizationId],
      );
      expect(rows.map(({ bytes }) => bytes.toString())).toEqual(Array.from({ length: size }, (_, n) => String(n)));
    }
    await expect(pool.query('DELETE FROM ledger_heads')).rejects.toThrow(/append-only|permission denied/);
    await pool.end();
  }, 30_000);
});

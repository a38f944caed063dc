import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createPool, migrate, withClient } from '@kms/postgres';
import { startTestPostgres, type TestDatabase, type TestPostgres } from '@kms/testing';
import pg from 'pg';
import { readCompleteness } from '../completeness/read-completeness.ts';
import { AUDIT_MIGRATIONS, auditGrants } from '../migrations/index.ts';
import { Prover } from '../proofs/prove.ts';
import { serveTile } from '../proofs/serve-tile.ts';
import { queryLedger } from '../query/query-ledger.ts';
import { readWatermarks } from '../query/read-watermarks.ts';
import { openEra, readEras } from './eras.ts';
import { retireEra } from './retire-era.ts';
import { WriterAndLedger } from './retired-log.fixture.ts';

const [LARGE, SMALL] = ['1'.repeat(24), '2'.repeat(24)] as const;
const WRITER = 'a'.repeat(24);

let postgres: TestPostgres;
let database: TestDatabase;
let folder: string;
let pool: pg.Pool;
let owners: pg.Pool;
let ledger: WriterAndLedger;

beforeAll(async () => {
  postgres = await startTestPostgres();
});
beforeEach(async () => {
  database = await postgres.createDatabase();
  await migrate({ ...database, migrations: AUDIT_MIGRATIONS, grants: auditGrants });
  await pool?.end();
  await owners?.end();
  [pool, owners] = [createPool(database.serviceUrl, () => undefined), createPool(database.ownerUrl, () => undefined)];
  folder = mkdtempSync(join(tmpdir(), 'kms-retire-'));
  ledger = new WriterAndLedger(pool, folder);
}, 30_000);
afterAll(async () => {
  await pool.end();
  await owners.end();
  await postgres.stop();
  rmSync(folder, { recursive: true });
});

const asOwner = <T>(work: (client: pg.Client) => Promise<T>) => withClient(database.ownerUrl, work);
const asSuperuser = (statement: string) => withClient(database.superuserUrl, (client) => client.query(statement));
const retire = (era: number) => asOwner((client) => retireEra(client, owners, era));
const countOf = async (table: string) =>
  (await owners.query<{ count: number }>(`SELECT count(*)::int AS count FROM ${table}`)).rows[0]?.count;
const query = async (organizationId: string, given: object = {}) => {
  const reply = await queryLedger(pool, { organizationId, query: { size: 100, page: 1, ...given } });
  if (reply.status !== 'ok') throw new Error(reply.code);
  return { count: reply.value.count, sequences: reply.value.elements.map(({ sequence }) => sequence) };
};

/** Era 0 with 600 records of one organization and 100 of another, era 1 with 50 of each. */
async function fill(): Promise<void> {
  await ledger.append(LARGE, 600);
  await ledger.append(SMALL, 100);
  await asOwner(openEra);
  await ledger.append(LARGE, 50);
  await ledger.append(SMALL, 50);
}

describe('an era of the ledger', () => {
  it('is a range of leaves of each log, opened by the owner alone', async () => {
    await fill();
    const { rows } = await pool.query(
      `SELECT era, organization_id AS id, min(leaf_index)::int AS first, max(leaf_index)::int AS last FROM ledger_records
       GROUP BY 1, 2 ORDER BY 1, 2`,
    );
    expect(rows).toEqual([
      { era: 0, id: LARGE, first: 0, last: 599 },
      { era: 0, id: SMALL, first: 0, last: 99 },
      { era: 1, id: LARGE, first: 600, last: 649 },
      { era: 1, id: SMALL, first: 100, last: 149 },
    ]);
    await expect(withClient(database.serviceUrl, openEra)).rejects.toThrow(/permission denied/);
    expect((await asOwner(readEras)).map(({ era, endedAt, isRetired }) => [era, endedAt !== null, isRetired])).toEqual([
      [0, true, false],
      [1, false, false],
    ]);
  });

  it('can be changed by nobody, by its own name neither, attached or not, also where triggers are switched off for a session', async () => {
    await fill();
    await ledger.settle();
    await retire(0);
    const columns = {
      ledger_records: 'era',
      ledger_records_0: 'era',
      ledger_records_1: 'era',
      ledger_eras: 'era',
      retired_leaves: 'tile',
      retired_logs: 'era',
      retired_writers: 'era',
    };
    for (const [table, column] of Object.entries(columns)) {
      for (const change of [`DELETE FROM ${table}`, `TRUNCATE ${table}`, `UPDATE ${table} SET ${column} = ${column}`]) {
        const refused = `${table} is append-only`;
        await expect(asOwner((client) => client.query(change))).rejects.toThrow(refused);
        await expect(asSuperuser(`SET session_replication_role = replica; ${change}`)).rejects.toThrow(refused);
        await expect(pool.query(change)).rejects.toThrow('permission denied');
      }
      if (table === 'ledger_records') continue;
      await expect(pool.query(`INSERT INTO ${table} SELECT * FROM ${table} LIMIT 0`)).rejects.toThrow('permission denied');
    }
  });

  it('has each place of a log, and each number of a writer, once', async () => {
    await fill();
    const again = (change: string) =>
      asOwner((client) =>
        client.query(
          `CREATE TEMPORARY TABLE row AS SELECT * FROM ledger_records_1 LIMIT 1; UPDATE row SET ${change}; INSERT INTO ledger_records SELECT * FROM row`,
        ),
      );
    await expect(again('sequence = sequence + 10000')).rejects.toThrow('ledger_records_1_pkey');
    await expect(again('leaf_index = leaf_index + 10000')).rejects.toThrow('ledger_records_1_writer_sequence_key');
  });
});

describe('a retired era', () => {
  beforeEach(async () => {
    await fill();
    await ledger.settle();
    expect(await retire(0)).toEqual({ era: 0, retired: 512, kept: 188 });
  });

  it('is detached with all its records, and what it ends in the middle of a tile has gone on', async () => {
    expect(await countOf('ledger_records_0')).toBe(700);
    expect((await asOwner(readEras)).map(({ isRetired }) => isRetired)).toEqual([true, false]);
    const { rows } = await pool.query(
      'SELECT organization_id AS id, min(leaf_index)::int AS first, count(*)::int AS count FROM ledger_records GROUP BY 1 ORDER BY 1',
    );
    expect(rows).toEqual([
      { id: LARGE, first: 512, count: 138 },
      { id: SMALL, first: 0, count: 150 },
    ]);
    const { rows: moved } = await owners.query(
      `SELECT * FROM (SELECT * FROM ledger_records_0 UNION ALL SELECT * FROM ledger_records_1) AS held
       WHERE organization_id = $1 AND leaf_index = 512 ORDER BY era`,
      [LARGE],
    );
    expect(moved).toHaveLength(2);
    expect({ ...moved[1], era: 0 }).toEqual(moved[0]);
  });

  it('answers for a record that has left with the index from which on records are there, and proves the others', async () => {
    const gone = { status: 'retired', from: 512 };
    const prover = new Prover(pool);
    const prove = (sequence: number) => prover.proveRecord(LARGE, WriterAndLedger.idOf(sequence));
    expect([await prove(1), await prove(512)]).toEqual([gone, gone]);
    for (const sequence of [513, 600, 701, 750]) expect(await prove(sequence)).toMatchObject({ status: 'ok' });
    expect(await prover.proveRecord(SMALL, WriterAndLedger.idOf(601))).toMatchObject({ status: 'ok' });
    // Made later than anything that left: it never was there. In the other log nothing has left at all.
    expect(await prove(2_000)).toEqual({ status: 'unknown' });
    expect(await prover.proveRecord(SMALL, WriterAndLedger.idOf(1))).toEqual({ status: 'unknown' });

    const bundle = (index: number, width: number) =>
      serveTile(pool, { organizationId: LARGE, level: 'entries', index, width, from: 0 }).then(({ status, ...rest }) =>
        'from' in rest ? { status, ...rest } : status,
      );
    expect([await bundle(0, 256), await bundle(1, 7), await bundle(2, 138)]).toEqual([gone, gone, 'ok']);
    expect(await prover.proveExtension(LARGE, 3, 650)).toMatchObject({ status: 'ok' });
  });

  it('does not come back, from wherever its events come again', async () => {
    const [large, small] = [ledger.made.get(LARGE) as Buffer[], ledger.made.get(SMALL) as Buffer[]];
    for (let round = 0; round < 2; round += 1) {
      await ledger.send(LARGE, large);
      await ledger.send(SMALL, small);
    }
    await ledger.send(LARGE, [...large.slice(100, 105), ...ledger.make(LARGE, 5), ...large.slice(510, 515)]);
    expect([await countOf('ledger_records'), (await query(LARGE)).count]).toEqual([288 + 5, 138 + 5]);
  });

  it('is found in order as before, and queries answer what is there', async () => {
    expect((await readCompleteness(pool, new Date())).writers).toEqual([
      { writer: WRITER, source: '/vault', complete: true, highest: 800, gaps: [], chainBreaks: [], parked: [] },
    ]);
    expect((await readWatermarks(pool, { writers: [{ writer: WRITER, from: 0 }] })).watermarks).toEqual([
      { writer: WRITER, sequence: 800 },
    ]);
    expect(await query(LARGE, { size: 100, page: 2 })).toEqual({ count: 138, sequences: Array.from({ length: 38 }, (_, at) => 550 - at) });
    expect((await query(LARGE, { handler: 'handler-1' })).count).toBe(45);
    expect((await query(SMALL)).count).toBe(150);
  });

  it('keeps a writer known of which every event has left', async () => {
    await ledger.append(LARGE, 118);
    await asOwner(openEra);
    await ledger.settle();
    await retire(1);
    const other = new WriterAndLedger(pool, folder, 'b'.repeat(24));
    await other.append('3'.repeat(24), 256);
    await asOwner(openEra);
    await other.settle();
    await retire(2);
    expect((await readCompleteness(pool, new Date())).writers).toMatchObject([
      { writer: 'b'.repeat(24), source: '/vault', complete: true, highest: 256 },
      { writer: WRITER, complete: true, highest: 918 },
    ]);
    await other.send('3'.repeat(24), other.made.get('3'.repeat(24)) as Buffer[]);
    expect(await query('3'.repeat(24))).toEqual({ count: 0, sequences: [] });
    await other.append('3'.repeat(24), 1);
    expect(await query('3'.repeat(24))).toEqual({ count: 1, sequences: [257] });
  });
});

describe('an era is not retired, and everything stays as it was,', () => {
  async function expectRefused(era: number, sentence: RegExp): Promise<void> {
    const before = await countOf('ledger_records');
    await expect(retire(era)).rejects.toMatchObject({ name: 'RetirementError', message: expect.stringMatching(sentence) });
    expect([await countOf('ledger_records'), await countOf('retired_leaves'), await countOf('retired_writers')]).toEqual([before, 0, 0]);
  }

  it('while it is appended to, or an older one is there', async () => {
    await fill();
    await ledger.settle();
    await expectRefused(1, /^Era 1 is not the oldest in the ledger: that is 0\.$/);
    await asOwner(openEra);
    await retire(0);
    await retire(1);
    await expect(retire(2)).rejects.toThrow('Era 2 has not ended: records are still appended to it.');
    await expect(retire(0)).rejects.toThrow('Era 0 is not the oldest in the ledger: that is 2.');
  });

  it('while its leaves are under no checkpoint, or a writer’s chain was not checked up to its end', async () => {
    await fill();
    await ledger.checkChains();
    await expectRefused(0, /^Records of 1{24} are under no checkpoint yet \(512 are to leave, 0 are signed\)/);
    ledger = new WriterAndLedger(pool, folder, 'b'.repeat(24));
    await ledger.sign();
    await asSuperuser('ALTER TABLE writer_chains DISABLE TRIGGER USER; DELETE FROM writer_chains');
    await expectRefused(0, /^Writer a{24} is not known to be complete up to event 512, which would leave, but up to 0: /);
  });

  it('while some of its leaves are under no checkpoint', async () => {
    await ledger.append(LARGE, 300);
    await ledger.sign();
    await ledger.append(LARGE, 300);
    await asOwner(openEra);
    await ledger.checkChains();
    await expectRefused(0, /^Records of 1{24} are under no checkpoint yet \(512 are to leave, 300 are signed\)/);
  });

  it('while an event of a writer is missing', async () => {
    const [first, ...others] = ledger.make(LARGE, 300);
    await ledger.send(LARGE, others);
    await asOwner(openEra);
    await ledger.settle();
    await expectRefused(0, /^Writer a{24} is not known to be complete up to event 257, which would leave, but up to 0: /);
    await ledger.send(LARGE, [first as Buffer]);
    await ledger.settle();
    expect(await retire(0)).toMatchObject({ retired: 256, kept: 43 });
  });

  it.each([
    ['a record', 'bytes = set_byte(bytes, 9, 0)', /^Record 7 of 1{24} has a hash that is not that of its bytes\.$/],
    [
      'a record and its hash',
      "bytes = '\\x00', leaf_hash = sha256('\\x0000')",
      /^The first 512 records of 1{24} are not those of its checkpoint of 650/,
    ],
    ['the place of a record', 'leaf_index = 610', /^Records of 1{24} from 0 to 512 are missing in era 0\.$/],
  ])('where somebody has changed %s', async (_what, change, sentence) => {
    await fill();
    await ledger.settle();
    await asSuperuser(
      `ALTER TABLE ledger_records_0 DISABLE TRIGGER USER;
       UPDATE ledger_records_0 SET ${change} WHERE organization_id = '${LARGE}' AND leaf_index = 7`,
    );
    await expectRefused(0, sentence);
  });

  it('while somebody reads the ledger for long', async () => {
    await fill();
    await ledger.settle();
    await withClient(database.serviceUrl, async (reader) => {
      await reader.query('BEGIN; SELECT FROM ledger_records LIMIT 1');
      await expect(retire(0)).rejects.toMatchObject({ code: '55P03' });
    });
    expect([await countOf('ledger_records'), await countOf('retired_leaves')]).toEqual([800, 0]);
  });
});

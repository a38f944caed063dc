import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EvidenceError, verifyPack, writePack, type LogFiles } from '@kms/evidence';
import { noteVerifier, parseTilePath, parseVerifierKey, ED25519_NOTE } from '@kms/merkle';
import { createLogger, KeptFiles } from '@kms/platform';
import { createPool, migrate, withClient } from '@kms/postgres';
import { startTestPostgres, type TestPostgres } from '@kms/testing';
import { filesIn, makeRecords, ORGANIZATION, seeded } from '@kms/testing/made-log';
import pg from 'pg';
import { parseLogKeys, signerKey } from '../checkpoint/log.fixture.ts';
import { PublishCheckpoints } from '../checkpoint/publish-checkpoints.ts';
import { NO_WITNESSES } from '../checkpoint/witnesses.ts';
import { AppendBatch } from '../ingest/append-batch.ts';
import { AUDIT_MIGRATIONS, auditGrants } from '../migrations/index.ts';
import { readCheckpoint } from './prove.ts';
import { serveTile } from './serve-tile.ts';

/*
 * Whoever is superuser changes the ledger's rows past every trigger. An export of it is then refused.
 */

const SIZE = 600;
const logger = createLogger('test');
logger.level = 'silent';
const keys = parseLogKeys(signerKey(1));
const logKeys = keys.verifierKeys.map((key) => noteVerifier(parseVerifierKey(key), [ED25519_NOTE]));
const origin = keys.origin(ORGANIZATION);
const random = seeded(600);

let postgres: TestPostgres;
let folder: string;
let pool: pg.Pool;
let superuserUrl: string;

beforeAll(async () => {
  postgres = await startTestPostgres();
  const database = await postgres.createDatabase();
  superuserUrl = database.superuserUrl;
  await migrate({ ...database, migrations: AUDIT_MIGRATIONS, grants: auditGrants });
  pool = createPool(database.serviceUrl, () => undefined);
  folder = mkdtempSync(join(tmpdir(), 'kms-tamper-'));
  const ledger = new AppendBatch({ pool, operatorOrganizationId: '0'.repeat(24), logger, now: () => new Date() });
  const messages = makeRecords(SIZE, random, { writers: 3, holes: 5 }).map((value, at) => ({
    offset: BigInt(at),
    key: Buffer.from(ORGANIZATION),
    value,
  }));
  await ledger.handle({ topic: 'topic', partition: 0, messages, nextOffset: BigInt(SIZE) });
  await new PublishCheckpoints({
    pool,
    keys,
    kept: new KeptFiles(folder),
    witnesses: NO_WITNESSES,
    logger,
    now: () => new Date(),
  } as never).publishDue();
}, 60_000);

afterAll(async () => {
  await pool.end();
  await postgres.stop();
  rmSync(folder, { recursive: true });
});

/** The log's files as the service answers them. */
const served = (source: pg.Pool): LogFiles => ({
  async read(path) {
    if (path === 'checkpoint') return readCheckpoint(source, ORGANIZATION);
    const tile = parseTilePath(path);
    const parts: Buffer[] = [];
    for (let from = 0; from < tile.width;) {
      const reply = await serveTile(source, { organizationId: ORGANIZATION, ...tile, from });
      if (reply.status !== 'ok') return null;
      parts.push(Buffer.from(reply.value.bytes, 'base64'));
      from = reply.value.to;
    }
    return Buffer.concat(parts);
  },
});

/** Exports the log and verifies the export: the code that it is refused with, or `ok`; `cannot` where the service itself refuses. */
async function exported(source: pg.Pool): Promise<string> {
  const files = new Map<string, Uint8Array>();
  try {
    await writePack(served(source), { write: async (path, bytes) => void files.set(path, bytes) }, { keys: keys.verifierKeys });
  } catch (error) {
    return `cannot: ${(error as Error).name}`;
  }
  try {
    await verifyPack(filesIn(files), { logKeys, origin });
    return 'ok';
  } catch (error) {
    if (error instanceof EvidenceError) return error.code;
    throw error;
  }
}

const OF = `organization_id = '${ORGANIZATION}'`;
const row = (at: number) => `${OF} AND leaf_index = ${at}`;
const shift = (from: number, by: number) => [
  `UPDATE ledger_records SET leaf_index = leaf_index + 1000000 WHERE ${OF} AND leaf_index >= ${from}`,
  `UPDATE ledger_records SET leaf_index = leaf_index - 1000000 + ${by} WHERE ${OF} AND leaf_index >= 1000000`,
];
/** A copy of a row at another place; its writer's number is another one where the table has to take it. */
const copy = (from: number, to: number, sequence: string, bytes = 'bytes') =>
  `INSERT INTO ledger_records (organization_id, leaf_index, bytes, leaf_hash, writer, sequence, record_id, time, outcome)
   SELECT organization_id, ${to}, ${bytes}, sha256('\\x00'::bytea || ${bytes}), writer, ${sequence}, record_id, time, outcome
   FROM ledger_records WHERE ${row(from)}`;

const CHANGE: Record<string, (at: number) => string[]> = {
  edit: (at) => [`UPDATE ledger_records SET bytes = set_byte(bytes, 300, get_byte(bytes, 300) # 1) WHERE ${row(at)}`],
  'edit, with its hash': (at) => [
    `UPDATE ledger_records SET bytes = set_byte(bytes, 400, get_byte(bytes, 400) # 1) WHERE ${row(at)}`,
    `UPDATE ledger_records SET leaf_hash = sha256('\\x00'::bytea || bytes) WHERE ${row(at)}`,
  ],
  delete: (at) => [`DELETE FROM ledger_records WHERE ${row(at)}`],
  'delete and close up': (at) => [`DELETE FROM ledger_records WHERE ${row(at)}`, ...shift(at + 1, -1)],
  swap: (at) => [
    `UPDATE ledger_records SET leaf_index = 1000000 WHERE ${row(at)}`,
    `UPDATE ledger_records SET leaf_index = ${at} WHERE ${row(at + 20)}`,
    `UPDATE ledger_records SET leaf_index = ${at + 20} WHERE ${row(1_000_000)}`,
  ],
  insert: (at) => [...shift(at, 1), copy(at + 1, at, 'sequence + 1000000', `bytes || '\\x20'::bytea`)],
  duplicate: (at) => [...shift(at, 1), copy(at + 1, at, 'sequence + 1000000')],
};

describe('an export of a ledger', () => {
  it('is good as long as nobody has changed it', async () => {
    expect(await exported(pool)).toBe('ok');
  });

  it.each(Object.keys(CHANGE))('is refused after a superuser’s: %s', async (kind) => {
    for (let round = 0; round < 10; round += 1) {
      const statements = (CHANGE[kind] as (typeof CHANGE)[string])(random.below(SIZE - 30));
      const found = await withClient(superuserUrl, async (client) => {
        await client.query('BEGIN');
        await client.query('ALTER TABLE ledger_records DISABLE TRIGGER ALL');
        for (const statement of statements) await client.query(statement);
        const changed = { query: (...given: [never]) => client.query(...given) } as unknown as pg.Pool;
        return exported(changed).finally(() => client.query('ROLLBACK'));
      });
      expect(found).toMatch(/^(?:wrong-record|wrong-root|wrong-tile|cannot: TileMissingError)$/);
    }
  });

  it('is refused after a superuser has built all of the tree anew', async () => {
    const other = createPool(superuserUrl, () => undefined);
    try {
      await other.query('ALTER TABLE ledger_records DISABLE TRIGGER ALL');
      await other.query(`UPDATE ledger_records SET bytes = set_byte(bytes, 400, get_byte(bytes, 400) # 1) WHERE ${row(7)}`);
      await other.query(`UPDATE ledger_records SET leaf_hash = sha256('\\x00'::bytea || bytes) WHERE ${row(7)}`);
      expect(await exported(other)).toMatch(/^wrong-(?:root|tile)$/);
    } finally {
      await other.end();
    }
  });
});

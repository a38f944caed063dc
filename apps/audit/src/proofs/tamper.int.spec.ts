import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EvidenceError, verifyPack, writePack, type LogFiles } from '@kms/evidence';
import { noteVerifier, parseTilePath, parseVerifierKey, ED25519_NOTE } from '@kms/merkle';
import { createLogger, KeptFiles } from '@kms/platform';
import { createPool, migrate } from '@kms/postgres';
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
 * Whoever is superuser changes the ledger's rows past every trigger. An export of it is then refused. `KMS_TAMPER=full npm test --
 * apps/audit/src/proofs/tamper` makes 1,000 changes of each kind in 10,000 records, and cuts the log at 200 points; without it samples are made.
 */

const FULL = process.env['KMS_TAMPER'] === 'full';
const SIZE = FULL ? 10_000 : 600;
const CHANGES = FULL ? 1_000 : 10;
const CUTS = FULL ? 200 : 10;
/** Of the full counts, so many go by until all of the log is exported again. */
const WHOLE_EVERY = 50;
/** What is rolled back stays in the table until a vacuum. */
const VACUUM_EVERY = 25;
const TIMEOUT_MS = FULL ? 3_600_000 : 120_000;
const logger = createLogger('test');
logger.level = 'silent';
const keys = parseLogKeys(signerKey(1));
const logKeys = keys.verifierKeys.map((key) => noteVerifier(parseVerifierKey(key), [ED25519_NOTE]));
const origin = keys.origin(ORGANIZATION);
const random = seeded(SIZE);

let postgres: TestPostgres;
let folder: string;
let pool: pg.Pool;
let superuser: pg.Client;
let superuserUrl: string;

beforeAll(async () => {
  postgres = await startTestPostgres();
  const database = await postgres.createDatabase();
  superuserUrl = database.superuserUrl;
  superuser = new pg.Client({ connectionString: superuserUrl });
  await superuser.connect();
  await migrate({ ...database, migrations: AUDIT_MIGRATIONS, grants: auditGrants });
  pool = createPool(database.serviceUrl, () => undefined);
  folder = mkdtempSync(join(tmpdir(), 'kms-tamper-'));
  const ledger = new AppendBatch({ pool, operatorOrganizationId: '0'.repeat(24), logger, now: () => new Date() });
  const messages = makeRecords(SIZE, random, { writers: 3, holes: 5 }).map((value, at) => ({
    offset: BigInt(at),
    key: Buffer.from(ORGANIZATION),
    value,
  }));
  for (let from = 0; from < SIZE; from += 500) {
    const some = messages.slice(from, from + 500);
    await ledger.handle({ topic: 'topic', partition: 0, messages: some, nextOffset: BigInt(from + some.length) });
  }
  await new PublishCheckpoints({
    pool,
    keys,
    kept: new KeptFiles(folder),
    witnesses: NO_WITNESSES,
    logger,
    now: () => new Date(),
  } as never).publishDue();
}, TIMEOUT_MS);

afterAll(async () => {
  await superuser.end();
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

interface Range {
  from: number;
  to: number;
}

/** Exports the log, or a range of it, and verifies the export: the code that it is refused with, or `ok`; `cannot` where the service itself refuses. */
async function exported(source: pg.Pool, range: Range = { from: 0, to: SIZE }): Promise<string> {
  const files = new Map<string, Uint8Array>();
  try {
    await writePack(served(source), { write: async (path, bytes) => void files.set(path, bytes) }, { keys: keys.verifierKeys, ...range });
  } catch (error) {
    return `cannot: ${(error as Error).name}`;
  }
  try {
    await verifyPack(filesIn(files), { logKeys, origin, ...range });
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
  `INSERT INTO ledger_records (era, organization_id, leaf_index, bytes, leaf_hash, writer, sequence, record_id, time, outcome)
   SELECT era, organization_id, ${to}, ${bytes}, sha256('\\x00'::bytea || ${bytes}), writer, ${sequence}, record_id, time, outcome
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

/** What an export finds after statements of a superuser, which are then undone. */
async function after(statements: readonly string[], range?: Range): Promise<string> {
  await superuser.query('BEGIN');
  try {
    await superuser.query('ALTER TABLE ledger_records DISABLE TRIGGER ALL');
    for (const statement of statements) await superuser.query(statement);
    const changed = { query: (...given: [never]) => superuser.query(...given) } as unknown as pg.Pool;
    return await exported(changed, range);
  } finally {
    await superuser.query('ROLLBACK');
  }
}

/**
 * Where the change of a round begins. What moves all records behind it is made near the end nine times of ten, or most of the time would go
 * into moving them.
 */
function placeOf(kind: string, round: number): number {
  const movesAll = /close up|insert|duplicate/.test(kind);
  return movesAll && round % 10 > 0 ? SIZE - 530 + random.below(500) : random.below(SIZE - 30);
}

const REFUSED = /^(?:wrong-record|wrong-root|wrong-tile|cannot: TileMissingError)$/;

describe('an export of a ledger', () => {
  const isGood = async () => {
    expect(await exported(pool)).toBe('ok');
    for (let round = 0; round < CUTS; round += 1) {
      const from = random.below(SIZE - 30);
      expect(await exported(pool, { from, to: from + 21 })).toBe('ok');
    }
  };

  it('is good as long as nobody has changed it', isGood, TIMEOUT_MS);

  it.each(Object.keys(CHANGE))(
    'is refused after a superuser’s: %s',
    async (kind) => {
      for (let round = 0; round < CHANGES; round += 1) {
        const at = placeOf(kind, round);
        // Somebody who asks for the records around it finds it; whoever asks for all of them reads them, too.
        const range = FULL && round % WHOLE_EVERY > 0 ? { from: at, to: at + 21 } : undefined;
        const found = await after((CHANGE[kind] as (typeof CHANGE)[string])(at), range);
        if (!REFUSED.test(found)) throw new Error(`The change at ${at} was answered with ${found}.`);
        if (round % VACUUM_EVERY === VACUUM_EVERY - 1) await superuser.query('VACUUM ledger_records');
      }
    },
    TIMEOUT_MS,
  );

  it(
    'is refused after a superuser has cut off its end',
    async () => {
      for (let round = 0; round < CUTS; round += 1) {
        const cut = random.below(SIZE);
        const found = await after([`DELETE FROM ledger_records WHERE ${OF} AND leaf_index >= ${cut}`]);
        if (!REFUSED.test(found)) throw new Error(`The cut at ${cut} was answered with ${found}.`);
      }
    },
    TIMEOUT_MS,
  );

  it('is good again when all of it was undone', isGood, TIMEOUT_MS);

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

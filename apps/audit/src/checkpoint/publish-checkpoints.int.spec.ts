import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { CompactRange, openCheckpoint, parseCheckpoint, parseNote, sameBytes } from '@kms/merkle';
import { KeptFiles } from '@kms/platform';
import { createPool, migrate, withClient } from '@kms/postgres';
import { startTestPostgres, waitFor, type TestDatabase, type TestPostgres } from '@kms/testing';
import type pg from 'pg';
import { AUDIT_MIGRATIONS, auditGrants } from '../migrations/index.ts';
import { readCheckpoint } from '../proofs/prove.ts';
import { append, parseLogKeys, signerKey } from './log.fixture.ts';
import { PublishCheckpoints } from './publish-checkpoints.ts';
import { readUnsignedAge, WatchUnsigned } from './unsigned-age.ts';
import { StrictWitness } from './witness.fixture.ts';
import { NO_WITNESSES, Witnesses } from './witnesses.ts';

/** The first key of the lock that a signer holds. */
const SIGNER_LOCK = 0x636b70;
const [ONE, OTHER] = ['1'.repeat(24), '2'.repeat(24)];
const keys = parseLogKeys(signerKey(1));

let postgres: TestPostgres;
let database: TestDatabase;
let pools: pg.Pool[];
let pool: pg.Pool;
let folder: string;

/** A process that publishes, with connections of its own; all of them share the folder. */
function publisher(witness: StrictWitness | null): PublishCheckpoints {
  const own = createPool(database.serviceUrl, () => undefined);
  pools.push(own);
  return new PublishCheckpoints({
    pool: own,
    keys,
    kept: new KeptFiles(folder),
    witnesses: witness === null ? NO_WITNESSES : new Witnesses([witness.client()], 1, []),
    logger: { fatal: () => undefined, error: () => undefined, info: () => undefined } as never,
    now: () => new Date(),
  });
}

async function sizeOf(organizationId: string): Promise<number> {
  const note = await readCheckpoint(pool, organizationId);
  return note === null ? 0 : parseCheckpoint(parseNote(note).text).size;
}

beforeAll(async () => {
  postgres = await startTestPostgres();
}, 60_000);
afterAll(() => postgres.stop());

beforeEach(async () => {
  database = await postgres.createDatabase();
  await migrate({ ...database, migrations: AUDIT_MIGRATIONS, grants: auditGrants });
  pool = createPool(database.serviceUrl, () => undefined);
  pools = [pool];
  folder = mkdtempSync(join(tmpdir(), 'kms-checkpoints-'));
}, 30_000);

afterEach(async () => {
  for (const one of pools) await one.end();
  rmSync(folder, { recursive: true });
});

describe('checkpoints with a witness', () => {
  it('of one log that the witness does not answer for keep no other log waiting', async () => {
    const witness = new StrictWitness();
    const release = witness.hold(keys.origin(ONE));
    const subject = publisher(witness);
    await append(pool, 1, ONE);
    await append(pool, 1, OTHER);
    subject.start();
    await waitFor('a checkpoint of the other log', async () => (await sizeOf(OTHER)) === 1, 30_000);
    await append(pool, 3, OTHER);
    await waitFor('a later one', async () => (await sizeOf(OTHER)) === 3, 30_000);
    // All the while the first request for the first log is unanswered.
    expect([witness.requestsFor(keys.origin(ONE)), await sizeOf(ONE)]).toEqual([1, 0]);
    release();
    await waitFor('a checkpoint of the first log', async () => (await sizeOf(ONE)) === 1, 30_000);
    await subject.stop();
  }, 120_000);

  it('are one history where two processes publish at once and lose what keeps them apart', async () => {
    const witness = new StrictWitness();
    const failures: unknown[] = [];
    let isGrowing = true;
    const isSigned = async () => (await sizeOf(ONE)) === 24 && (await sizeOf(OTHER)) === 24;
    const publish = async (subject: PublishCheckpoints) => {
      while (isGrowing || !(await isSigned())) await subject.publishDue().catch((error: unknown) => failures.push(error));
    };
    const work = [publisher(witness), publisher(witness)].map(publish);
    await withClient(database.superuserUrl, async (superuser) => {
      for (let size = 1; size <= 24; size += 1) {
        for (const organizationId of [ONE, OTHER]) await append(pool, size, organizationId);
        const killed = () =>
          superuser.query(
            `SELECT pg_terminate_backend(pid) FROM pg_locks
             WHERE locktype = 'advisory' AND classid = $1 AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
            [SIGNER_LOCK],
          );
        if (size % 3 === 0) await waitFor('a signer to be cut off', async () => (await killed()).rowCount, 30_000);
      }
    });
    isGrowing = false;
    await Promise.all(work);
    expect(failures.length).toBeGreaterThan(0);
    for (const organizationId of [ONE, OTHER]) await expectOneHistory(organizationId, witness);
  }, 120_000);
});

/** Every published checkpoint is of the log as it is, cosigned, and of one root where two are of a size; the last is what the witness cosigned last. */
async function expectOneHistory(organizationId: string, witness: StrictWitness): Promise<void> {
  const roots = [CompactRange.empty().root()];
  const range = CompactRange.empty();
  const leaves = await pool.query<{ leaf_hash: Buffer }>(
    'SELECT leaf_hash FROM ledger_records WHERE organization_id = $1 ORDER BY leaf_index',
    [organizationId],
  );
  for (const { leaf_hash } of leaves.rows) {
    range.append(leaf_hash);
    roots.push(range.root());
  }
  const { rows } = await pool.query<{ note: Buffer }>('SELECT note FROM ledger_checkpoints WHERE organization_id = $1 ORDER BY number', [
    organizationId,
  ]);
  const policy = { ...keys.policy(organizationId), witnesses: [witness.verifier], quorum: 1 };
  const checkpoints = rows.map(({ note }) => openCheckpoint(note, policy).checkpoint);
  for (const { size, root } of checkpoints) expect(sameBytes(root, roots[size] as Uint8Array)).toBe(true);
  const sizes = checkpoints.map(({ size }) => size);
  expect([sizes.at(-1), witness.cosigned.get(keys.origin(organizationId))?.size]).toEqual([24, 24]);
}

describe('a record without a checkpoint', () => {
  it('counts from when it came into the ledger, and is said once after five seconds, and once when all is well again', async () => {
    const said: string[] = [];
    const say = (message: string) => void said.push(message);
    const watch = new WatchUnsigned({ pool, logger: { error: say, warn: say, info: say } as never });
    await watch.look();
    expect(await readUnsignedAge(pool)).toBe(0);
    // The events are of long ago.
    await append(pool, 2, ONE);
    expect(await readUnsignedAge(pool)).toBeLessThan(1_000);
    const ago = (seconds: number) =>
      withClient(database.superuserUrl, async (client) => {
        await client.query('ALTER TABLE ledger_heads DISABLE TRIGGER ALL');
        await client.query(`UPDATE ledger_heads SET appended_at = now() - make_interval(secs => $1)`, [seconds]);
      });
    await ago(-60);
    await watch.look();
    expect([await readUnsignedAge(pool), said]).toEqual([0, []]);
    await ago(6);
    // Later ones, of this log and of another, make it no younger.
    for (const id of [ONE, OTHER]) await append(pool, 3, id);
    await watch.look();
    await watch.look();
    expect(await readUnsignedAge(pool)).toBeGreaterThanOrEqual(6);
    expect(said).toEqual(['A record has been in the ledger for more than 5 seconds without a checkpoint.']);
    await publisher(null).publishDue();
    await watch.look();
    await watch.look();
    expect(said.slice(1)).toEqual(['All records come under checkpoints in time again.']);
  }, 60_000);
});

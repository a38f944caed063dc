import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MerkleError, parseCheckpoint, parseNote, proveConsistency, proveInclusion } from '@kms/merkle';
import { createPool, migrate } from '@kms/postgres';
import { startTestPostgres, type TestPostgres } from '@kms/testing';
import pg from 'pg';
import { AUDIT_MIGRATIONS, auditGrants } from '../migrations/index.ts';
import { NeverRetired } from '../retire/never-retired.fixture.ts';
import { WriterAndLedger } from '../retire/retired-log.fixture.ts';
import { Prover } from './prove.ts';

const ORGANIZATION = '1'.repeat(24);
const idOf = (index: number) => WriterAndLedger.idOf(index + 1);
const base64 = (hashes: readonly Uint8Array[]) => hashes.map((hash) => Buffer.from(hash).toString('base64'));

let postgres: TestPostgres;
const folders: string[] = [];

/** A ledger of its own, its log as nothing but hashes, and what its service asks the database. */
async function openLedger(writer: string) {
  const database = await postgres.createDatabase();
  await migrate({ ...database, migrations: AUDIT_MIGRATIONS, grants: auditGrants });
  const pool = createPool(database.serviceUrl, () => undefined);
  const folder = mkdtempSync(join(tmpdir(), 'kms-prove-'));
  folders.push(folder);
  const ledger = new WriterAndLedger(pool, folder, writer);
  const log = new NeverRetired(ORGANIZATION);
  const append = async (count: number) => {
    const events = ledger.make(ORGANIZATION, count);
    await ledger.send(ORGANIZATION, events);
    log.append(events);
  };
  return { ...database, pool, ledger, log, append };
}

/** A pool that says what it was asked, and can be led to another database. */
class ObservedPool {
  asked: string[] = [];

  constructor(public target: pg.Pool) {}

  query(query: pg.QueryConfig): Promise<pg.QueryResult> {
    this.asked.push(query.name ?? query.text);
    return this.target.query(query);
  }

  take(): string[] {
    return this.asked.splice(0);
  }
}

const proverOver = (pool: ObservedPool) => new Prover(pool as unknown as pg.Pool);

beforeAll(async () => {
  postgres = await startTestPostgres();
}, 60_000);
afterAll(async () => {
  await postgres.stop();
  for (const folder of folders) rmSync(folder, { recursive: true });
});

describe('a proof', () => {
  it('takes two questions to the database, one once its tiles are known, and goes no further than what is signed', async () => {
    const { pool, ledger, log, append } = await openLedger('a'.repeat(24));
    const observed = new ObservedPool(pool);
    const prover = proverOver(observed);
    expect(await prover.proveRecord(ORGANIZATION, idOf(0))).toEqual({ status: 'unknown' });
    expect(await prover.proveExtension(ORGANIZATION, 0, 0)).toMatchObject({ status: 'ok', value: { proof: [] } });
    expect(await prover.proveExtension(ORGANIZATION, 0, 1)).toEqual({ status: 'not-yet' });
    await append(700);
    expect(await prover.proveRecord(ORGANIZATION, idOf(0))).toEqual({ status: 'not-yet' });
    await ledger.sign();
    await append(100);

    const proves = async (index: number, size: number) => {
      observed.take();
      const reply = await prover.proveRecord(ORGANIZATION, idOf(index));
      const proof = base64(await proveInclusion(log, index, size));
      expect(reply).toMatchObject({ status: 'ok', value: { index, proof, record: log.records[index]?.toString('base64') } });
      const checkpoint = reply.status === 'ok' ? reply.value.checkpoint : '';
      expect(parseCheckpoint(parseNote(Buffer.from(checkpoint)).text).size).toBe(size);
      return observed.take();
    };
    expect(await proves(5, 700)).toEqual(['prove-by-id', 'read-leaves', 'read-nodes']);
    expect(await proves(255, 700)).toEqual(['prove-by-id']);
    expect(await proves(256, 700)).toEqual(['prove-by-id', 'read-leaves']);
    expect(await proves(699, 700)).toEqual(['prove-by-id', 'read-leaves']);
    expect(await prover.proveRecord(ORGANIZATION, idOf(700))).toEqual({ status: 'not-yet' });
    expect(await prover.proveExtension(ORGANIZATION, 5, 701)).toEqual({ status: 'not-yet' });

    // What has grown meanwhile is read again, what was full is not.
    await ledger.sign();
    expect(await proves(255, 800)).toEqual(['prove-by-id', 'read-nodes']);
    expect(await proves(699, 800)).toEqual(['prove-by-id', 'read-leaves']);
    expect(await proves(767, 800)).toEqual(['prove-by-id']);
    expect(await proves(768, 800)).toEqual(['prove-by-id', 'read-leaves']);

    for (const [from, to] of [
      [0, 800],
      [1, 2],
      [5, 700],
      [256, 512],
      [700, 800],
      [800, 800],
      [0, 0],
    ] as const) {
      observed.take();
      const extension = { from, to, proof: base64(await proveConsistency(log, from, to)) };
      expect(await prover.proveExtension(ORGANIZATION, from, to)).toEqual({ status: 'ok', value: extension });
      expect(observed.take()[0]).toBe('read-published');
    }
    expect(await prover.proveExtension(ORGANIZATION, 300, 750)).toMatchObject({ status: 'ok' });
    expect(observed.take()).toEqual(['read-published']);
    await pool.end();
  });
});

describe('what is kept of a tree', () => {
  it('goes when the database is taken back to another history', async () => {
    const [one, other] = [await openLedger('a'.repeat(24)), await openLedger('b'.repeat(24))];
    for (const { append, ledger } of [one, other]) {
      await append(600);
      await ledger.sign();
    }
    const observed = new ObservedPool(one.pool);
    const prover = proverOver(observed);
    for (const index of [3, 300, 599]) expect(await prover.proveRecord(ORGANIZATION, idOf(index))).toMatchObject({ status: 'ok' });
    expect(await prover.proveExtension(ORGANIZATION, 100, 400)).toMatchObject({ status: 'ok' });

    observed.target = other.pool;
    const extension = { from: 100, to: 400, proof: base64(await proveConsistency(other.log, 100, 400)) };
    expect(await prover.proveExtension(ORGANIZATION, 100, 400)).toEqual({ status: 'ok', value: extension });
    observed.target = one.pool;
    const inclusion = { index: 300, proof: base64(await proveInclusion(one.log, 300, 600)) };
    expect(await prover.proveRecord(ORGANIZATION, idOf(300))).toMatchObject({ status: 'ok', value: inclusion });
    for (const { pool } of [one, other]) await pool.end();
  });

  it('is no proof that does not check: nothing is given out of a ledger that was changed', async () => {
    const { pool, ledger, append, superuserUrl } = await openLedger('a'.repeat(24));
    await append(600);
    await ledger.sign();
    const superuser = new pg.Client({ connectionString: superuserUrl });
    await superuser.connect();
    await superuser.query('ALTER TABLE ledger_records DISABLE TRIGGER ALL');
    await superuser.query("UPDATE ledger_records SET leaf_hash = sha256('another') WHERE leaf_index = 7");
    await superuser.end();
    const prover = new Prover(pool);
    await expect(prover.proveRecord(ORGANIZATION, idOf(5))).rejects.toThrow(MerkleError);
    await expect(prover.proveExtension(ORGANIZATION, 100, 400)).rejects.toThrow(MerkleError);
    expect(await prover.proveRecord(ORGANIZATION, idOf(300))).toMatchObject({ status: 'ok' });
    await pool.end();
  });
});

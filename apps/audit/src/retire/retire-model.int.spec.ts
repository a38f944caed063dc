import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { parseEvent, type Id } from '@kms/contracts';
import { newTiles, proveConsistency, proveInclusion, type Tile } from '@kms/merkle';
import { createPool, migrate, withClient } from '@kms/postgres';
import { startTestPostgres, type TestPostgres } from '@kms/testing';
import fc from 'fast-check';
import type pg from 'pg';
import { AUDIT_MIGRATIONS, auditGrants } from '../migrations/index.ts';
import { Prover } from '../proofs/prove.ts';
import { serveTile } from '../proofs/serve-tile.ts';
import { queryLedger } from '../query/query-ledger.ts';
import { openEra } from './eras.ts';
import { NeverRetired } from './never-retired.fixture.ts';
import { retireEra } from './retire-era.ts';
import { WriterAndLedger } from './retired-log.fixture.ts';

const ORGANIZATIONS: readonly Id[] = ['1'.repeat(24), '2'.repeat(24)];

type Step =
  | { step: 'append'; log: number; count: number }
  | { step: 'replay'; log: number; from: number; count: number }
  | { step: 'open' }
  | { step: 'retire'; picks: readonly number[] };

/** After whatever came before, so that in each run something is retired. */
const LAST_STEPS: readonly Step[] = [
  { step: 'append', log: 0, count: 300 },
  { step: 'open' },
  { step: 'retire', picks: [0, 1_000_003, 77] },
];

const log = fc.nat({ max: ORGANIZATIONS.length - 1 });
const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ step: fc.constant('append' as const), log, count: fc.integer({ min: 1, max: 400 }) }) },
    {
      weight: 1,
      arbitrary: fc.record({ step: fc.constant('replay' as const), log, from: fc.nat(), count: fc.integer({ min: 1, max: 300 }) }),
    },
    { weight: 2, arbitrary: fc.record({ step: fc.constant('open' as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({ step: fc.constant('retire' as const), picks: fc.array(fc.nat(), { minLength: 4, maxLength: 4 }) }),
    },
  ),
  { minLength: 10, maxLength: 16, size: 'max' },
);

let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

/** A ledger, and beside it the logs as they would be had nothing ever left. */
class Pair {
  readonly logs = ORGANIZATIONS.map((id) => new NeverRetired(id));
  #era = 0;
  #oldest = 0;
  readonly #prover: Prover;

  constructor(
    readonly ledger: WriterAndLedger,
    readonly pool: pg.Pool,
    readonly owners: pg.Pool,
    readonly ownerUrl: string,
  ) {
    this.#prover = new Prover(pool);
  }

  async take(step: Step): Promise<void> {
    if (step.step === 'append') {
      const own = this.logs[step.log] as NeverRetired;
      const events = this.ledger.make(own.organizationId, step.count);
      await this.ledger.send(own.organizationId, events);
      own.append(events);
    } else if (step.step === 'replay') {
      const { organizationId, records } = this.logs[step.log] as NeverRetired;
      const from = step.from % (records.length + 1);
      await this.ledger.send(organizationId, records.slice(from, from + step.count));
    } else if (step.step === 'open') {
      this.#era = await withClient(this.ownerUrl, openEra);
      for (const each of this.logs) each.endEra();
    } else if (this.#oldest < this.#era) {
      await this.ledger.settle();
      await withClient(this.ownerUrl, (client) => retireEra(client, this.owners, this.#oldest));
      for (const each of this.logs) each.retire(this.#oldest);
      this.#oldest += 1;
      await this.compare(step.picks);
    }
  }

  /** Holds all tiles, and proofs of some records and between some sizes, against those of the logs that keep everything. */
  async compare(picks: readonly number[]): Promise<void> {
    for (const own of this.logs) {
      const { organizationId, records, gone } = own;
      const size = records.length;
      for (const tile of newTiles(0, size)) expect(await this.#read(organizationId, tile)).toEqual(own.content(tile));
      const reply = await queryLedger(this.pool, { organizationId, query: { size: 1, page: 1 } });
      expect(reply).toMatchObject({ value: { count: size - gone } });
      for (const pick of size === 0 ? [] : picks) {
        const index = pick % size;
        const proof = await this.#prover.proveRecord(organizationId, parseEvent(records[index] as Buffer).id);
        const inclusion = { record: records[index]?.toString('base64'), index, proof: base64(await proveInclusion(own, index, size)) };
        expect(proof).toMatchObject(index < gone ? { status: 'retired', from: gone } : { status: 'ok', value: inclusion });
        const [from, to] = [index + 1, size - (pick % (size - index))];
        const extension = { from, to, proof: base64(await proveConsistency(own, from, to)) };
        expect(await this.#prover.proveExtension(organizationId, from, to)).toEqual({ status: 'ok', value: extension });
      }
    }
  }

  async #read(organizationId: Id, tile: Tile): Promise<Buffer | null> {
    const parts: Buffer[] = [];
    for (let from = 0; from < tile.width;) {
      const reply = await serveTile(this.pool, { organizationId, ...tile, from });
      if (reply.status === 'retired') return null;
      if (reply.status !== 'ok') throw new Error(reply.status);
      parts.push(Buffer.from(reply.value.bytes, 'base64'));
      from = reply.value.to;
    }
    return Buffer.concat(parts);
  }
}

const base64 = (proof: readonly Uint8Array[]) => proof.map((hash) => Buffer.from(hash).toString('base64'));

it('a ledger that retires has the tiles and proofs of one that keeps everything, whatever is appended, replayed and retired in between', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (taken) => {
      const database = await postgres.createDatabase();
      await migrate({ ...database, migrations: AUDIT_MIGRATIONS, grants: auditGrants });
      const [pool, owners] = [createPool(database.serviceUrl, () => undefined), createPool(database.ownerUrl, () => undefined, 2)];
      const folder = mkdtempSync(join(tmpdir(), 'kms-model-'));
      try {
        const pair = new Pair(new WriterAndLedger(pool, folder), pool, owners, database.ownerUrl);
        for (const step of [...taken, ...LAST_STEPS]) await pair.take(step);
      } finally {
        await pool.end();
        await owners.end();
        rmSync(folder, { recursive: true });
      }
    }),
    { numRuns: 3, endOnFailure: true },
  );
}, 180_000);

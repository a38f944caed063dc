import type { Id, WatermarksReply, WatermarksRequest } from '@kms/contracts';
import type pg from 'pg';

/** How many records of a writer one look goes through; the next question goes on from there. */
const STEP = 20_000;

/**
 * For each writer, the highest sequence up to which the ledger holds every event, as a record or as a parked message, from what it said before,
 * or from where its chain was checked last, which a gap is never behind.
 */
export async function readWatermarks(pool: pg.Pool, { writers }: WatermarksRequest): Promise<WatermarksReply> {
  const watermarks = [];
  for (const { writer, from: known } of writers) {
    let sequence = await readRun(pool, writer, Math.max(known, await readChecked(pool, writer)));
    while (await isParked(pool, writer, sequence + 1)) sequence = await readRun(pool, writer, sequence + 1);
    watermarks.push({ writer, sequence });
  }
  return { watermarks };
}

/** The last of the records that follow on a number without a gap. */
async function readRun(pool: pg.Pool, writer: Id, from: number): Promise<number> {
  // Numbers without a gap differ from their place in the order by the same amount: the first that does not ends the run.
  const { rows } = await pool.query<{ sequence: string | null }>({
    name: 'read-watermark',
    text: `SELECT max(sequence) AS sequence FROM (
             SELECT sequence, row_number() OVER (ORDER BY sequence) AS place FROM (
               SELECT sequence FROM ledger_records WHERE writer = $1 AND sequence > $2 ORDER BY sequence LIMIT ${STEP}) AS next) AS numbered
           WHERE sequence = $2 + place`,
    values: [writer, from],
  });
  return Number(rows[0]?.sequence ?? from);
}

async function isParked(pool: pg.Pool, writer: Id, sequence: number): Promise<boolean> {
  const { rows } = await pool.query({
    name: 'is-parked',
    text: 'SELECT FROM parked_events WHERE writer = $1 AND sequence = $2',
    values: [writer, sequence],
  });
  return rows.length > 0;
}

async function readChecked(pool: pg.Pool, writer: Id): Promise<number> {
  const { rows } = await pool.query<{ sequence: number | null }>({
    name: 'read-checked',
    text: 'SELECT max(sequence)::float8 AS sequence FROM writer_chains WHERE writer = $1',
    values: [writer],
  });
  return rows[0]?.sequence ?? 0;
}

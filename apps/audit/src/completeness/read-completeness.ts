import type { CompletenessReply, Gap, Id, WriterCompleteness } from '@kms/contracts';
import type pg from 'pg';

/** Most writers that are told of: those with something missing first, then the latest. */
const MAX_WRITERS = 500;
/** Most gaps and breaks that are told of each, the lowest. */
const MAX_FINDINGS = 10;

// A loose scan, which looks at a few rows of each writer, however many events there are. Of some, all events have left the ledger.
const WRITERS = `
  WITH RECURSIVE writers AS (
    SELECT min(writer) AS id FROM ledger_records
    UNION ALL
    SELECT (SELECT min(writer) FROM ledger_records WHERE writer > writers.id) FROM writers WHERE id IS NOT NULL)
  SELECT id AS writer, greatest(held.sequence, parked_last, through)::float8 AS last, bytes, source, coalesce(checked, 0)::float8 AS checked,
         breaks[1:${MAX_FINDINGS}] AS breaks, parked[1:${MAX_FINDINGS}] AS parked
  FROM (SELECT id FROM writers WHERE id IS NOT NULL UNION SELECT writer FROM parked_events UNION SELECT writer FROM retired_writers) AS known
  LEFT JOIN LATERAL (SELECT sequence, bytes FROM ledger_records WHERE writer = id ORDER BY sequence DESC LIMIT 1) AS held ON true
  LEFT JOIN LATERAL (SELECT through, source FROM retired_writers WHERE writer = id ORDER BY through DESC LIMIT 1) AS gone ON true
  CROSS JOIN LATERAL (
    SELECT max(sequence) AS parked_last, array_agg(sequence::float8 ORDER BY sequence) AS parked FROM parked_events WHERE writer = id) AS messages
  CROSS JOIN LATERAL (SELECT max(sequence) AS checked FROM writer_chains WHERE writer = id) AS chain
  CROSS JOIN LATERAL (
    SELECT array_agg(sequence::float8 ORDER BY sequence) AS breaks FROM writer_chains WHERE writer = id AND NOT fits) AS broken
  ORDER BY breaks IS NULL AND parked IS NULL AND greatest(held.sequence, parked_last, through) = coalesce(checked, 0), id DESC
  LIMIT ${MAX_WRITERS}`;
// What is behind a gap was written after what is missing, so that its time is the latest since when something is missing.
const GAPS = `
  SELECT (before + 1)::float8 AS from, (sequence - 1)::float8 AS to, time AS since FROM (
    SELECT sequence, time, lag(sequence, 1, $2::bigint) OVER (ORDER BY sequence) AS before FROM (
      SELECT sequence, time FROM ledger_records WHERE writer = $1 AND sequence > $2
      UNION ALL
      SELECT parked.sequence, time FROM parked_events AS parked JOIN ledger_records USING (organization_id, leaf_index)
      WHERE parked.writer = $1 AND parked.sequence > $2) AS known) AS held
  WHERE sequence > before + 1 ORDER BY sequence LIMIT $3`;

interface WriterRow {
  writer: Id;
  last: number;
  /** Of its last record in the ledger, null where it has none. */
  bytes: Buffer | null;
  /** Known where records of it have left the ledger. */
  source: string | null;
  checked: number;
  breaks: number[] | null;
  parked: number[] | null;
}

/**
 * What the ledger knows of each writer's numbers: over all organizations, because a writer counts over all of them, and whose events are
 * missing nobody can tell before they are there.
 */
export async function readCompleteness(pool: pg.Pool, now: Date): Promise<CompletenessReply> {
  const { rows } = await pool.query<WriterRow>({ name: 'read-writers', text: WRITERS });
  const writers: WriterCompleteness[] = [];
  for (const row of rows) {
    const source = row.source ?? (row.bytes && sourceOf(row.bytes));
    // The record of a parked message has a writer of its own, made of the message: there is nothing to be missing.
    if (source !== '/audit') writers.push(await describe(pool, row, source));
  }
  return { asOf: now.toISOString(), writers };
}

/** What kind of process has written an event. */
export const sourceOf = (bytes: Buffer): string => (JSON.parse(bytes.toString('utf8')) as { source: string }).source;

async function describe(pool: pg.Pool, row: WriterRow, source: string | null): Promise<WriterCompleteness> {
  const { writer, last, checked } = row;
  const gaps = last === checked ? [] : await readGaps(pool, writer, checked, MAX_FINDINGS);
  const chainBreaks = (row.breaks ?? []).map((sequence) => ({ sequence }));
  const parked = (row.parked ?? []).map((sequence) => ({ sequence }));
  const complete = gaps.length === 0 && chainBreaks.length === 0 && parked.length === 0;
  const [gap] = gaps;
  return { writer, source, complete, highest: gap === undefined ? last : gap.from - 1, gaps, chainBreaks, parked };
}

/** The first gaps behind a number up to which there is none. */
export async function readGaps(client: pg.ClientBase | pg.Pool, writer: Id, from: number, limit: number): Promise<Gap[]> {
  const { rows } = await client.query<{ from: number; to: number; since: Date }>({
    name: 'read-gaps',
    text: GAPS,
    values: [writer, from, limit],
  });
  return rows.map(({ since, ...gap }) => ({ ...gap, since: since.toISOString() }));
}

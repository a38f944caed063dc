import type { Block } from '@kms/journal';
import type { UncommittedRecord } from './check-parked.ts';
import type { LogRecord, LogSources } from './check-log.ts';
import type { RetiredEvents, WriterRecord } from './check-writer.ts';
import type { Snapshot } from './snapshot.ts';

/** Rows that are in memory at once: of blocks, of records, of what is short, and of tiles. */
const BLOCKS = 16;
const RECORDS = 256;
const HASHES = 2_000;
const TILES = 16;

/** The journals' writers in a service's database, and the last number that each has committed. */
export async function readWriters(journal: Snapshot): Promise<Map<string, number>> {
  const rows = await journal.all<{ writer: string; last: number }>(
    `SELECT id AS writer, coalesce((SELECT max(last_sequence) FROM journal_blocks WHERE writer = id), 0)::float8 AS last FROM journal_writers`,
  );
  return new Map(rows.map(({ writer, last }) => [writer, last]));
}

/** A writer's blocks in the order of their numbers. */
export function readBlocks(journal: Snapshot, writer: string): AsyncIterable<Omit<Block, 'writer'>> {
  return journal.rows(
    `SELECT first_sequence::float8 AS "firstSequence", last_sequence::float8 AS "lastSequence", events, hash
     FROM journal_blocks WHERE writer = $1 ORDER BY first_sequence`,
    [writer],
    BLOCKS,
  );
}

/** What has left the ledger, by writer. */
export async function readRetiredEvents(ledger: Snapshot): Promise<ReadonlyMap<string, RetiredEvents>> {
  const rows = await ledger.all<RetiredEvents & { writer: string }>(
    'SELECT writer, sum(events)::float8 AS events, max(through)::float8 AS through FROM retired_writers GROUP BY writer',
  );
  return new Map(rows.map(({ writer, ...retired }) => [writer, retired]));
}

/** What the ledger holds of a writer in the order of the numbers: records, and where there is none the message that was parked. */
export function readRecords(ledger: Snapshot, writer: string): AsyncIterable<WriterRecord> {
  return ledger.rows(
    `SELECT sequence::float8 AS sequence, bytes, false AS "isParked" FROM ledger_records WHERE writer = $1
     UNION ALL
     SELECT sequence::float8, value, true FROM parked_events AS parked JOIN parked_messages USING (organization_id, leaf_index)
     WHERE writer = $1 AND NOT EXISTS (SELECT FROM ledger_records AS held WHERE held.writer = $1 AND held.sequence = parked.sequence)
     ORDER BY sequence`,
    [writer],
    RECORDS,
  );
}

/** The records of writers that no journal knows, each with the message that is kept beside it. */
export function readUncommitted(ledger: Snapshot, writers: readonly string[]): AsyncIterable<UncommittedRecord> {
  return ledger.rows(
    `SELECT organization_id AS "organizationId", leaf_index::float8 AS index, record.writer, record.sequence::float8 AS sequence, bytes,
            topic, partition, kafka_offset::text AS offset, value
     FROM ledger_records AS record LEFT JOIN parked_messages USING (organization_id, leaf_index)
     WHERE record.writer <> ALL ($1::text[])`,
    [writers],
    RECORDS,
  );
}

/** The organizations that have anything in the ledger. */
export async function readOrganizations(ledger: Snapshot): Promise<string[]> {
  const tables = ['ledger_records', 'ledger_heads', 'ledger_checkpoints', 'retired_leaves'];
  const scans = tables.map((table) => `SELECT DISTINCT organization_id AS id FROM ${table}`);
  return (await ledger.all<{ id: string }>(`${scans.join(' UNION ')} ORDER BY id`)).map(({ id }) => id);
}

/** What is stored of an organization's log. */
export function readLog(ledger: Snapshot, organizationId: string): LogSources {
  const values = [organizationId];
  return {
    records: ledger.rows<LogRecord>(
      `SELECT leaf_index::float8 AS index, bytes, leaf_hash AS "leafHash", writer, sequence::float8 AS sequence, record_id AS "recordId",
              (extract(epoch FROM time) * 1000)::float8 AS time, handler, outcome, api_key_id AS "apiKeyId", host(address) AS address
       FROM ledger_records WHERE organization_id = $1 ORDER BY leaf_index`,
      values,
      RECORDS,
    ),
    retired: ledger.rows('SELECT tile::float8 AS tile, hashes FROM retired_leaves WHERE organization_id = $1 ORDER BY tile', values, TILES),
    heads: ledger.rows('SELECT size::float8 AS size, edge FROM ledger_heads WHERE organization_id = $1 ORDER BY size', values, HASHES),
    nodes: (level) =>
      ledger.rows(
        'SELECT node_index::float8 AS index, hash FROM ledger_nodes WHERE organization_id = $1 AND level = $2 ORDER BY node_index',
        [organizationId, level],
        HASHES,
      ),
    checkpoints: ledger.rows(
      'SELECT size::float8 AS size, note FROM ledger_checkpoints WHERE organization_id = $1 ORDER BY size, signed_at',
      values,
      HASHES,
    ),
  };
}

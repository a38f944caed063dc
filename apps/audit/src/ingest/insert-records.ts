import type { Id } from '@kms/contracts';
import { failpoint } from '@kms/platform';
import type pg from 'pg';
import type { Leaf } from '../domain/classify.ts';
import { extendTree, readHead } from './extend-tree.ts';

type Value = string | number | null;

/**
 * An array as PostgreSQL reads it, of numbers and of texts that need no quotes there, such as ids: pg would look at each of them twice for
 * characters that do. `NULL` MUST be none of the texts.
 */
const unquoted = (values: readonly Value[]): string => `{${values.map((value) => value ?? 'NULL').join(',')}}`;
/** For any texts. */
const quoted = (values: readonly Value[]) => values;

/** What a record is looked up by, each column as one array. */
const COLUMNS: readonly [name: string, type: string, of: (leaf: Leaf) => Value, array: (values: readonly Value[]) => unknown][] = [
  ['writer', 'text', ({ event }) => event.writer, unquoted],
  ['sequence', 'bigint', ({ event }) => Number(event.sequence), unquoted],
  ['record_id', 'text', ({ event }) => event.id, unquoted],
  ['time', 'timestamptz', ({ event }) => event.time, unquoted],
  ['handler', 'text', ({ event }) => event.data.handler, quoted],
  ['outcome', 'text', ({ event }) => event.data.outcome, unquoted],
  ['api_key_id', 'text', ({ event }) => event.data.apiKeyId, unquoted],
  ['address', 'inet', ({ event }) => event.data.address, quoted],
];

const NAMES = COLUMNS.map(([name]) => name).join(', ');
/** All of a record's columns but its era. */
export const RECORD_COLUMNS = `organization_id, leaf_index, bytes, leaf_hash, ${NAMES}`;

// The era that is the last one now: one that is opened waits for whoever has looked into the ledger before, and holds up who has not.
// All bytes and all hashes come as one binary value each and are cut here: an array of them would travel, and be read, as hexadecimal text.
const INSERT_RECORDS = `
  INSERT INTO ledger_records (era, ${RECORD_COLUMNS})
  SELECT (SELECT max(era) FROM ledger_eras), $1, $2::bigint + place - 1, substr($3::bytea, start, length), substr($4::bytea, (place::int - 1) * 32 + 1, 32), ${NAMES}
  FROM unnest($5::int[], $6::int[], ${COLUMNS.map(([, type], index) => `$${index + 7}::${type}[]`).join(', ')})
       WITH ORDINALITY AS leaf (start, length, ${NAMES}, place)`;

/** Appends records to an organization's ledger and its tree, in the caller's transaction, which holds the ledger's lock. */
export async function insertRecords(client: pg.ClientBase, organizationId: Id, leaves: readonly Leaf[]): Promise<void> {
  const head = await readHead(client, organizationId);
  const { size } = head;
  const lengths = leaves.map(({ bytes }) => bytes.length);
  let next = 1;
  const starts = lengths.map((length) => (next += length) - length);
  const hashes = leaves.map(({ hash }) => hash);
  await client.query({
    name: 'insert-records',
    text: INSERT_RECORDS,
    values: [
      organizationId,
      size,
      Buffer.concat(leaves.map(({ bytes }) => bytes)),
      Buffer.concat(hashes),
      unquoted(starts),
      unquoted(lengths),
      ...COLUMNS.map(([, , of, array]) => array(leaves.map(of))),
    ],
  });
  await extendTree(client, organizationId, head, hashes);
  failpoint('ledger.tree-extended');
  for (const [index, leaf] of leaves.entries()) if (leaf.parked !== null) await keepMessage(client, organizationId, size + index, leaf);
}

async function keepMessage(client: pg.ClientBase, organizationId: Id, leafIndex: number, { message }: Leaf): Promise<void> {
  const { topic, partition, offset, key, value } = message;
  await client.query(
    'INSERT INTO parked_messages (organization_id, leaf_index, topic, partition, kafka_offset, key, value) VALUES ($1, $2, $3, $4, $5, $6, $7)',
    [organizationId, leafIndex, topic, partition, offset.toString(), key, value],
  );
}

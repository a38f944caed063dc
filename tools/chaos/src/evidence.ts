import { createHash } from 'node:crypto';
import { AUDIT_TOPIC, parseEvent } from '@kms/contracts';
import { chainHash, GENESIS, splitBlock } from '@kms/journal';
import { CompactRange, parseCheckpoint, parseNote, SHA256_TREE } from '@kms/merkle';
import { readTopic } from '@kms/testing/read-topic';
import { Kafka, logLevel } from 'kafkajs';
import pg from 'pg';
import type { Evidence, Found, LedgerRecord } from './checker.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

function toFound(bytes: Buffer): Found {
  const { writer, sequence } = parseEvent(bytes);
  return { writer, sequence: Number(sequence), hash: sha256(bytes) };
}

export async function query<Row extends pg.QueryResultRow>(url: string, text: string, values: unknown[] = []): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  // A session that a fault ends fails its query, or has answered it already.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Row>(text, values)).rows;
  } finally {
    await client.end();
  }
}

interface BlockRow {
  writer: string;
  first: number;
  last: number;
  events: Buffer;
  hash: Buffer;
}

/** All events of a service's journal, each writer's numbers and chain computed anew. */
export async function readJournal(url: string): Promise<Pick<Evidence, 'journal' | 'brokenChains'>> {
  const rows = await query<BlockRow>(
    url,
    `SELECT writer, first_sequence::float8 AS first, last_sequence::float8 AS last, events, hash
     FROM journal_blocks ORDER BY writer, first_sequence`,
  );
  const journal: Found[] = [];
  const brokenChains: string[] = [];
  let head = { writer: '', sequence: 0, hash: GENESIS };
  for (const { writer, first, last, events, hash } of rows) {
    if (head.writer !== writer) head = { writer, sequence: 0, hash: GENESIS };
    if (first !== head.sequence + 1) brokenChains.push(`Writer ${writer} has a gap before ${first}.`);
    const values = splitBlock({ firstSequence: first, lastSequence: last, events });
    const end = values.reduce(chainHash, head.hash);
    if (!end.equals(hash)) brokenChains.push(`Writer ${writer} has a chain that does not fit at ${last}.`);
    journal.push(...values.map(toFound));
    head = { writer, sequence: last, hash };
  }
  return { journal, brokenChains };
}

/** All records of the ledger, and each organization's tree computed anew from their bytes: its heads and its checkpoints must be those. */
export async function readLedger(url: string): Promise<Pick<Evidence, 'ledger' | 'brokenTrees'>> {
  const rows = await query<{ organization: string; index: number; bytes: Buffer }>(
    url,
    'SELECT organization_id AS organization, leaf_index::float8 AS index, bytes FROM ledger_records ORDER BY organization_id, leaf_index',
  );
  const heads = await query<{ organization: string; size: number; edge: Buffer }>(
    url,
    'SELECT organization_id AS organization, size::float8 AS size, edge FROM ledger_heads',
  );
  const checkpoints = await query<{ organization: string; note: Buffer }>(
    url,
    'SELECT organization_id AS organization, note FROM ledger_checkpoints',
  );
  const roots = new Map(
    checkpoints.map(({ organization, note }) => {
      const { size, root } = parseCheckpoint(parseNote(note).text);
      return [`${organization}/${size}`, root];
    }),
  );
  const edges = new Map(heads.map(({ organization, size, edge }) => [`${organization}/${size}`, edge]));
  const trees = new Map<string, CompactRange>();
  const brokenTrees: string[] = [];
  const ledger: LedgerRecord[] = [];
  for (const { organization, index, bytes } of rows) {
    const tree = trees.get(organization) ?? CompactRange.empty();
    trees.set(organization, tree);
    if (tree.size !== index) brokenTrees.push(`The ledger of ${organization} has no record ${tree.size}.`);
    tree.append(SHA256_TREE.leaf(bytes));
    const edge = edges.get(`${organization}/${tree.size}`);
    if (edge !== undefined && !edge.equals(Buffer.concat(tree.hashes())))
      brokenTrees.push(`The tree of ${organization} is not that of its first ${tree.size} records.`);
    const root = roots.get(`${organization}/${tree.size}`);
    if (root !== undefined && !tree.root().every((byte, place) => byte === root[place]))
      brokenTrees.push(`The checkpoint of ${organization} at ${tree.size} is not that of its records.`);
    const { id, data, previoushash } = parseEvent(bytes);
    const chain = chainHash(Buffer.from(previoushash, 'hex'), bytes).toString('hex');
    const { action, outcome } = data;
    const requestId = action === 'create-api-key' ? null : data.requestId;
    ledger.push({ ...toFound(bytes), id, requestId, action, outcome, chain });
  }
  for (const [organization, { size }] of trees)
    if (!edges.has(`${organization}/${size}`)) brokenTrees.push(`The tree of ${organization} ends before its ${size} records.`);
  return { ledger, brokenTrees };
}

/** What is on the topic now: a broker may have lost messages, but none may be there that was not committed. */
export async function readMessages(brokers: readonly string[]): Promise<Found[]> {
  return (await readWhole(brokers, AUDIT_TOPIC)).map((value) => toFound(Buffer.from(value)));
}

/** The values of all messages that are on a topic now. */
export async function readWhole(brokers: readonly string[], topic: string): Promise<string[]> {
  const admin = new Kafka({ brokers: [...brokers], clientId: 'chaos-checker', logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic).finally(() => admin.disconnect());
  const ends = new Map(offsets.filter(({ low, high }) => low !== high).map(({ partition, high }) => [partition, BigInt(high)]));
  if (ends.size === 0) return [];
  const messages = await readTopic(brokers, topic, (read) => {
    const last = read.at(-1);
    if (last !== undefined && last.offset + 1n >= (ends.get(last.partition) ?? 0n)) ends.delete(last.partition);
    return ends.size === 0;
  });
  return messages.map(({ value }) => value);
}

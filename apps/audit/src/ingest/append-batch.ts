import type { Id } from '@kms/contracts';
import type { BatchHandler, MessageBatch } from '@kms/kafka';
import type { Logger } from '@kms/platform';
import { inTransaction } from '@kms/postgres';
import type pg from 'pg';
import { classify, parkMessage, type Leaf, type RawMessage } from '../domain/classify.ts';
import { leafHash } from '../domain/leaf.ts';

/** The first key of the lock that orders the appends to one organization's ledger, over all audit processes. */
const LEDGER_LOCK = 0x6c6467;

export interface AppendDependencies {
  pool: pg.Pool;
  operatorOrganizationId: Id;
  logger: Logger;
  now: () => Date;
}

/**
 * Appends a batch of messages to the ledger and moves the partition's offset, in one transaction. What the ledger has (same writer and
 * sequence) is dropped; what cannot be understood, or says something else under a number that is taken, is parked as a record of its
 * own (design rule 8). Kafka's offsets say where to read on, never what is new.
 */
export class AppendBatch implements BatchHandler {
  constructor(readonly dependencies: AppendDependencies) {}

  async startOffsets(topic: string, partitions: readonly number[]): Promise<ReadonlyMap<number, bigint>> {
    const { rows } = await this.dependencies.pool.query<{ partition: number; next_offset: string }>(
      `SELECT DISTINCT ON (partition) partition, next_offset FROM consumed_offsets
       WHERE topic = $1 AND partition = ANY ($2::int[]) ORDER BY partition, batch DESC`,
      [topic, partitions],
    );
    return new Map(rows.map(({ partition, next_offset }) => [partition, BigInt(next_offset)]));
  }

  async handle({ topic, partition, messages, nextOffset }: MessageBatch): Promise<void> {
    const client = await this.dependencies.pool.connect();
    let broken: Error | undefined;
    try {
      await inTransaction(client, async () => {
        await this.#append(
          client,
          messages.map((message) => ({ topic, partition, ...message })),
        );
        await client.query('INSERT INTO consumed_offsets (topic, partition, next_offset) VALUES ($1, $2, $3)', [
          topic,
          partition,
          nextOffset.toString(),
        ]);
      });
    } catch (error) {
      broken = error as Error;
      throw error;
    } finally {
      client.release(broken);
    }
  }

  async #append(client: pg.ClientBase, messages: readonly RawMessage[]): Promise<void> {
    const leaves = messages.map((message) => this.#toLeaf(message));
    await lockLedgers(client, [...leaves.map(({ event }) => event.data.organizationId), this.dependencies.operatorOrganizationId]);
    const added = await this.#withoutKnown(client, leaves);
    const organizations = new Set(added.map(({ event }) => event.data.organizationId));
    for (const id of organizations)
      await insertLeaves(
        client,
        id,
        added.filter(({ event }) => event.data.organizationId === id),
      );
  }

  #toLeaf(message: RawMessage): Leaf {
    const result = classify(message);
    if ('event' in result) return { bytes: message.value as Buffer, event: result.event, message, isParked: false };
    return this.#park(message, result.park);
  }

  #park(message: RawMessage, reason: 'unreadable' | 'wrong-key' | 'conflict'): Leaf {
    const { logger, operatorOrganizationId, now } = this.dependencies;
    const { topic, partition, offset } = message;
    logger.error({ topic, partition, offset: offset.toString(), reason }, 'A message was parked: it is not an event that can be appended.');
    return parkMessage(message, reason, operatorOrganizationId, now().toISOString());
  }

  /** Drops what the ledger has or the batch repeats, and parks what contradicts it. */
  async #withoutKnown(client: pg.ClientBase, leaves: readonly Leaf[]): Promise<Leaf[]> {
    const known = await readKnown(client, leaves);
    const added: Leaf[] = [];
    const parked: RawMessage[] = [];
    leaves.forEach((leaf) => {
      const place = placeText(leaf.event.writer, Number(leaf.event.sequence));
      const held = known.get(place);
      if (held === undefined) {
        known.set(place, leafHash(leaf.bytes));
        added.push(leaf);
      } else if (!leaf.isParked && !held.equals(leafHash(leaf.bytes))) {
        parked.push(leaf.message);
      }
    });
    if (parked.length === 0) return added;
    return [
      ...added,
      ...(await this.#withoutKnown(
        client,
        parked.map((message) => this.#park(message, 'conflict')),
      )),
    ];
  }
}

async function lockLedgers(client: pg.ClientBase, organizations: readonly Id[]): Promise<void> {
  for (const organizationId of [...new Set(organizations)].sort()) {
    await client.query('SELECT pg_advisory_xact_lock($1, hashtext($2))', [LEDGER_LOCK, organizationId]);
  }
}

async function readKnown(client: pg.ClientBase, leaves: readonly Leaf[]): Promise<Map<string, Buffer>> {
  const { rows } = await client.query<{ writer: string; sequence: string; leaf_hash: Buffer }>({
    name: 'read-known',
    text: `SELECT held.writer, held.sequence, held.leaf_hash FROM unnest($1::text[], $2::bigint[]) AS given (writer, sequence)
           JOIN ledger_records AS held USING (writer, sequence)`,
    values: [leaves.map(({ event }) => event.writer), leaves.map(({ event }) => Number(event.sequence))],
  });
  return new Map(rows.map(({ writer, sequence, leaf_hash }) => [placeText(writer, Number(sequence)), leaf_hash]));
}

const placeText = (writer: string, sequence: number) => `${writer}/${sequence}`;

const COLUMNS: readonly [name: string, type: string, of: (leaf: Leaf) => unknown][] = [
  ['bytes', 'bytea', ({ bytes }) => bytes],
  ['leaf_hash', 'bytea', ({ bytes }) => leafHash(bytes)],
  ['writer', 'text', ({ event }) => event.writer],
  ['sequence', 'bigint', ({ event }) => Number(event.sequence)],
  ['record_id', 'text', ({ event }) => event.id],
  ['type', 'text', ({ event }) => event.type],
  ['time', 'timestamptz', ({ event }) => event.time],
  ['environment', 'text', ({ event }) => event.data.environment],
  ['api_key_id', 'text', ({ event }) => event.data.apiKeyId],
  ['api_key_name', 'text', ({ event }) => event.data.apiKeyName],
  ['address', 'inet', ({ event }) => event.data.address],
  ['user_agent', 'text', ({ event }) => event.data.userAgent],
  ['request_id', 'text', ({ event }) => event.data.requestId],
  ['entry_id', 'text', ({ event }) => event.data.entryId],
  ['handler', 'text', ({ event }) => event.data.handler],
  ['version', 'integer', ({ event }) => event.data.version],
  ['action', 'text', ({ event }) => event.data.action],
  ['outcome', 'text', ({ event }) => event.data.outcome],
  ['reason', 'text', ({ event }) => event.data.reason],
];

const NAMES = COLUMNS.map(([name]) => name).join(', ');

const INSERT_LEAVES = `
  INSERT INTO ledger_records (organization_id, leaf_index, ${NAMES})
  SELECT $1, $2::bigint + place - 1, ${NAMES}
  FROM unnest(${COLUMNS.map(([, type], index) => `$${index + 3}::${type}[]`).join(', ')}) WITH ORDINALITY AS leaf (${NAMES}, place)`;

async function insertLeaves(client: pg.ClientBase, organizationId: Id, leaves: readonly Leaf[]): Promise<void> {
  const { rows } = await client.query<{ size: string }>(
    'SELECT coalesce(max(leaf_index) + 1, 0) AS size FROM ledger_records WHERE organization_id = $1',
    [organizationId],
  );
  const size = Number(rows[0]?.size);
  const columns = COLUMNS.map(([, , of]) => leaves.map(of));
  await client.query({ name: 'insert-leaves', text: INSERT_LEAVES, values: [organizationId, size, ...columns] });
  for (const [index, { message, isParked }] of leaves.entries()) {
    if (!isParked) continue;
    await client.query(
      'INSERT INTO parked_messages (organization_id, leaf_index, topic, partition, kafka_offset, key, value) VALUES ($1, $2, $3, $4, $5, $6, $7)',
      [organizationId, size + index, message.topic, message.partition, message.offset.toString(), message.key, message.value],
    );
  }
}

import type { Id } from '@kms/contracts';
import type { BatchHandler, MessageBatch } from '@kms/kafka';
import { failpoint, type Logger } from '@kms/platform';
import { inTransaction } from '@kms/postgres';
import type pg from 'pg';
import { classify, parkMessage, toLeaf, type Leaf, type ParkReason, type RawMessage } from '../domain/classify.ts';
import { insertRecords } from './insert-records.ts';

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
  /** Messages that were parked, each once. */
  readonly parked: Record<ParkReason, number> = { unreadable: 0, 'wrong-key': 0, 'too-long': 0, conflict: 0 };

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
    let added: readonly Leaf[] = [];
    try {
      await inTransaction(client, async () => {
        added = await this.#append(
          client,
          messages.map((message) => ({ topic, partition, ...message })),
        );
        await client.query('INSERT INTO consumed_offsets (topic, partition, next_offset) VALUES ($1, $2, $3)', [
          topic,
          partition,
          nextOffset.toString(),
        ]);
        failpoint('ledger.appended');
      });
    } catch (error) {
      broken = error as Error;
      throw error;
    } finally {
      client.release(broken);
    }
    for (const leaf of added) if (leaf.parked !== null) this.#reportParked(leaf.message, leaf.parked);
  }

  /** Answers what was added. */
  async #append(client: pg.ClientBase, messages: readonly RawMessage[]): Promise<readonly Leaf[]> {
    const leaves = messages.map((message) => this.#toLeaf(message));
    await lockLedgers(client, [...leaves.map(({ event }) => event.data.organizationId), this.dependencies.operatorOrganizationId]);
    const added = await this.#withoutKnown(client, leaves);
    for (const [organizationId, own] of byOrganization(added)) await insertRecords(client, organizationId, own);
    return added;
  }

  #toLeaf(message: RawMessage): Leaf {
    const result = classify(message);
    if ('event' in result) return toLeaf(message, message.value as Buffer, result.event, null);
    return this.#park(message, result.park);
  }

  #park(message: RawMessage, reason: ParkReason): Leaf {
    const { operatorOrganizationId, now } = this.dependencies;
    return parkMessage(message, reason, operatorOrganizationId, now().toISOString());
  }

  /** Only once it is committed: a batch is tried again until it is. */
  #reportParked({ topic, partition, offset }: RawMessage, reason: ParkReason): void {
    this.parked[reason] += 1;
    const fields = { topic, partition, offset: offset.toString(), reason };
    this.dependencies.logger.error(fields, 'A message was parked: it is not an event that can be appended.');
  }

  /** Drops what the ledger has or the batch repeats, and parks what contradicts it. */
  async #withoutKnown(client: pg.ClientBase, leaves: readonly Leaf[]): Promise<Leaf[]> {
    const highest = await readHighest(client, leaves);
    const isBelow = ({ event: { writer, sequence } }: Leaf, bound: 'held' | 'retired') =>
      Number(sequence) <= (highest.get(writer)?.[bound] ?? 0);
    const known = await readKnown(
      client,
      leaves.filter((leaf) => isBelow(leaf, 'held')),
    );
    const added: Leaf[] = [];
    const parked: RawMessage[] = [];
    leaves.forEach((leaf) => {
      const place = placeText(leaf.event.writer, Number(leaf.event.sequence));
      const held = known.get(place);
      // Of a retired event there is nothing left to compare with: that the ledger has had it is all that is known.
      if (held === undefined && isBelow(leaf, 'retired')) return;
      if (held === undefined) {
        known.set(place, leaf.hash);
        added.push(leaf);
      } else if (leaf.parked === null && !held.equals(leaf.hash)) {
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

interface Highest {
  /** The highest number of a writer that the ledger holds. */
  held: number;
  /** The number up to which the ledger has had all of a writer's events, some of which were retired; 0 where none was. */
  retired: number;
}

/** What is above a writer's highest number is new without a look at each number in each era. */
async function readHighest(client: pg.ClientBase, leaves: readonly Leaf[]): Promise<Map<string, Highest>> {
  const { rows } = await client.query<Highest & { writer: string }>({
    name: 'read-highest',
    text: `SELECT writer, coalesce((SELECT max(sequence) FROM ledger_records AS held WHERE held.writer = given.writer), 0)::float8 AS held,
                  coalesce((SELECT max(through) FROM retired_writers AS gone WHERE gone.writer = given.writer), 0)::float8 AS retired
           FROM unnest($1::text[]) AS given (writer)`,
    values: [[...new Set(leaves.map(({ event }) => event.writer))]],
  });
  return new Map(rows.map(({ writer, ...highest }) => [writer, highest]));
}

async function readKnown(client: pg.ClientBase, leaves: readonly Leaf[]): Promise<Map<string, Buffer>> {
  if (leaves.length === 0) return new Map();
  const { rows } = await client.query<{ writer: string; sequence: string; leaf_hash: Buffer }>({
    name: 'read-known',
    text: `SELECT held.writer, held.sequence, held.leaf_hash FROM unnest($1::text[], $2::bigint[]) AS given (writer, sequence)
           JOIN ledger_records AS held USING (writer, sequence)`,
    values: [leaves.map(({ event }) => event.writer), leaves.map(({ event }) => Number(event.sequence))],
  });
  return new Map(rows.map(({ writer, sequence, leaf_hash }) => [placeText(writer, Number(sequence)), leaf_hash]));
}

const placeText = (writer: string, sequence: number) => `${writer}/${sequence}`;

function byOrganization(leaves: readonly Leaf[]): Map<Id, Leaf[]> {
  const groups = new Map<Id, Leaf[]>();
  for (const leaf of leaves) {
    const { organizationId } = leaf.event.data;
    const group = groups.get(organizationId);
    if (group === undefined) groups.set(organizationId, [leaf]);
    else group.push(leaf);
  }
  return groups;
}

import { EventFormatError, parseEvent } from '@kms/contracts';
import { splitBlock } from '@kms/journal';
import type { MessageBatch } from '@kms/kafka';
import type pg from 'pg';
import { BadEvidence } from './bad-evidence.ts';

/** One connection to each database that is asked about messages; each question sees what is committed by then. */
export interface LiveDatabases {
  ledger: Pick<pg.ClientBase, 'query'>;
  journals: readonly Pick<pg.ClientBase, 'query'>[];
}

/** A message that was not committed as it is. */
interface Foreign {
  offset: bigint;
  value: Buffer | null;
}

interface Claim extends Foreign {
  value: Buffer;
  writer: string;
  sequence: number;
}

/**
 * Holds messages of the audit topic against what was committed: an event's bytes are those of the ledger, or else of a journal (an event is
 * committed before it is sent); anything else is parked in the ledger, and `isPatient` says whether it may still come to be.
 * Answers how many were parked. Rejects with {@link BadEvidence} or what the databases failed with.
 */
export async function checkMessages(
  { topic, partition, messages }: MessageBatch,
  databases: LiveDatabases,
  isPatient: () => Promise<boolean>,
): Promise<number> {
  const claims: Claim[] = [];
  const foreign: Foreign[] = [];
  for (const { offset, key, value } of messages) {
    const claim = toClaim(offset, key, value);
    if (claim === null) foreign.push({ offset, value });
    else claims.push(claim);
  }
  foreign.push(...(await findForeign(claims, databases)));
  for (;;) {
    const [missing] = await findUnparked(topic, foreign, databases.ledger);
    if (missing === undefined) return foreign.length;
    if (!(await isPatient()))
      throw new BadEvidence(`The message at ${topic}/${partition}/${missing} is neither a committed event nor parked in the ledger.`);
  }
}

function toClaim(offset: bigint, key: Buffer | null, value: Buffer | null): Claim | null {
  try {
    const { writer, sequence, data } = parseEvent(value ?? Buffer.alloc(0));
    const isUnderKey = key?.toString('latin1') === data.organizationId;
    return isUnderKey ? { offset, value: value as Buffer, writer, sequence: Number(sequence) } : null;
  } catch (error) {
    if (error instanceof EventFormatError) return null;
    throw error;
  }
}

/** Those that say something else than what was committed under their number, or whose number was never committed. */
async function findForeign(claims: readonly Claim[], { ledger, journals }: LiveDatabases): Promise<Foreign[]> {
  const { rows } = await ledger.query<{ place: number; bytes: Buffer }>(
    `SELECT place::int AS place, bytes FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS given (writer, sequence, place)
     JOIN ledger_records USING (writer, sequence)`,
    [claims.map(({ writer }) => writer), claims.map(({ sequence }) => sequence)],
  );
  const held = new Map(rows.map(({ place, bytes }) => [place - 1, bytes]));
  const foreign: Foreign[] = [];
  for (const [index, { offset, value, writer, sequence }] of claims.entries()) {
    const bytes = held.get(index) ?? (await findInJournals(journals, writer, sequence));
    if (bytes === null || !bytes.equals(value)) foreign.push({ offset, value });
  }
  return foreign;
}

async function findInJournals(journals: LiveDatabases['journals'], writer: string, sequence: number): Promise<Buffer | null> {
  for (const journal of journals) {
    const { rows } = await journal.query<{ first: number; last: number; events: Buffer }>(
      `SELECT first_sequence::float8 AS first, last_sequence::float8 AS last, events FROM journal_blocks
       WHERE writer = $1 AND first_sequence <= $2 AND last_sequence >= $2 ORDER BY first_sequence DESC LIMIT 1`,
      [writer, sequence],
    );
    const [block] = rows;
    if (block === undefined) continue;
    const { first, last, events } = block;
    return splitBlock({ firstSequence: first, lastSequence: last, events })[sequence - first] ?? null;
  }
  return null;
}

/** What is on the topic more than once is parked once: it is known by its bytes. */
async function findUnparked(topic: string, messages: readonly Foreign[], ledger: LiveDatabases['ledger']): Promise<string[]> {
  if (messages.length === 0) return [];
  const { rows } = await ledger.query<{ missing: string }>(
    `SELECT place::text AS missing FROM unnest($2::bigint[], $3::bytea[]) AS given (place, bytes)
     WHERE NOT EXISTS (SELECT FROM parked_messages WHERE topic = $1 AND value IS NOT DISTINCT FROM bytes) ORDER BY place`,
    [topic, messages.map(({ offset }) => String(offset)), messages.map(({ value }) => value)],
  );
  return rows.map(({ missing }) => missing);
}

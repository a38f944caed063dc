import type { SettleParkedReply, SettleParkedRequest } from '@kms/contracts';
import type pg from 'pg';

const SETTLE = `
  INSERT INTO parked_events (writer, sequence, organization_id, leaf_index)
  SELECT DISTINCT ON (sequence) $1, sequence, organization_id, leaf_index
  FROM unnest($2::bigint[], $3::bytea[]) AS given (sequence, hash) JOIN parked_messages ON sha256(value) = hash
  ORDER BY sequence, organization_id, leaf_index
  ON CONFLICT DO NOTHING`;

/**
 * Which of a writer's events were parked, told by the relay that has them in its journal, by the SHA-256 of their bytes: not by what a message
 * says of itself, so that nobody who can write to the topic can make an event count as held that is not. From now on they do.
 */
export async function settleParked(pool: pg.Pool, { writer, events }: SettleParkedRequest): Promise<SettleParkedReply> {
  const sequences = events.map(({ sequence }) => sequence);
  const hashes = events.map(({ sha256 }) => Buffer.from(sha256, 'hex'));
  await pool.query({ name: 'settle-parked', text: SETTLE, values: [writer, sequences, hashes] });
  const { rows } = await pool.query<{ sequence: number }>({
    name: 'read-settled',
    text: 'SELECT sequence::float8 AS sequence FROM parked_events WHERE writer = $1 AND sequence = ANY ($2::bigint[]) ORDER BY sequence',
    values: [writer, sequences],
  });
  return { parked: rows.map(({ sequence }) => sequence) };
}

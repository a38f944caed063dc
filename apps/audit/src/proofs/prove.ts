import { parseEvent, type ConsistencyReply, type Id, type ProofReply } from '@kms/contracts';
import { checkInclusion, parseCheckpoint, parseNote, proveConsistency, proveInclusion, SHA256_TREE } from '@kms/merkle';
import type pg from 'pg';
import { readRetired, type Retired } from '../retire/read-retired.ts';
import { LedgerTiles } from './ledger-tiles.ts';

const BY_ID = 'SELECT leaf_index::float8 AS index, bytes FROM ledger_records WHERE organization_id = $1 AND record_id = $2';
/** A record's id begins with the second in which it was made, which is that of its time or one so near to it. */
const ID_SECONDS_APART = 2;

/** The organization's newest checkpoint as it was signed, or null where there is none yet. */
export async function readCheckpoint(pool: pg.Pool, organizationId: Id): Promise<Buffer | null> {
  const { rows } = await pool.query<{ note: Buffer }>({
    name: 'read-checkpoint',
    text: 'SELECT note FROM ledger_checkpoints WHERE organization_id = $1 ORDER BY size DESC, signed_at DESC LIMIT 1',
    values: [organizationId],
  });
  return rows[0]?.note ?? null;
}

/** How many records the newest checkpoint is of: what lies beyond it is not given out. 0 where there is none yet. */
export async function publishedSize(pool: pg.Pool, organizationId: Id): Promise<number> {
  const note = await readCheckpoint(pool, organizationId);
  return note === null ? 0 : parseCheckpoint(parseNote(note).text).size;
}

/** A record with what shows that it is under the newest checkpoint. It is checked before it is given out. */
export async function proveRecord(pool: pg.Pool, organizationId: Id, recordId: Id): Promise<ProofReply> {
  const values = [organizationId, recordId];
  const { rows } = await pool.query<{ index: number; bytes: Buffer }>({ name: 'read-by-id', text: BY_ID, values });
  const note = await readCheckpoint(pool, organizationId);
  const record = rows.find(({ bytes }) => parseEvent(bytes).id === recordId);
  if (record === undefined) return unlessRetired(recordId, await readRetired(pool, organizationId));
  const head = note === null ? null : parseCheckpoint(parseNote(note).text);
  if (note === null || head === null || head.size <= record.index) return { status: 'not-yet' };
  const { index, bytes } = record;
  const proof = await proveInclusion(new LedgerTiles(pool, organizationId).nodes(head.size), index, head.size);
  checkInclusion(SHA256_TREE.leaf(bytes), index, proof, head);
  return { status: 'ok', value: { record: base64(bytes), index, proof: proof.map(base64), checkpoint: note.toString('utf8') } };
}

/** What shows that the tree of `to` records extends that of `from`, both at most the newest checkpoint's. */
export async function proveExtension(pool: pg.Pool, organizationId: Id, from: number, to: number): Promise<ConsistencyReply> {
  if (to > (await publishedSize(pool, organizationId))) return { status: 'not-yet' };
  const nodes = new LedgerTiles(pool, organizationId).nodes(to);
  return { status: 'ok', value: { from, to, proof: (await proveConsistency(nodes, from, to)).map(base64) } };
}

/** Whether a record that is not there may have left: nothing is kept of its id, but until when records have left is known. */
function unlessRetired(recordId: Id, { size, latest }: Retired): ProofReply {
  const isAfter = latest === null || parseInt(recordId.slice(0, 8), 16) > latest + ID_SECONDS_APART;
  return isAfter ? { status: 'unknown' } : { status: 'retired', from: size };
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

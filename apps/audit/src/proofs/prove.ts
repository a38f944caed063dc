import { parseEvent, type ConsistencyReply, type Id, type ProofReply } from '@kms/contracts';
import {
  checkConsistency,
  checkInclusion,
  CompactRange,
  edgeNodeReader,
  hashTileNodeReader,
  MerkleError,
  parseCheckpoint,
  parseNote,
  proveConsistency,
  proveInclusion,
  readCompactRange,
  SHA256_TREE,
  type NodeReader,
  type TreeHead,
} from '@kms/merkle';
import type pg from 'pg';
import { splitHashes } from '../ingest/extend-tree.ts';
import { readRetired, type Retired } from '../retire/read-retired.ts';
import { KeptTiles } from './kept-tiles.ts';
import { LedgerTiles } from './ledger-tiles.ts';

/** The organization's newest checkpoint. */
const NEWEST = 'SELECT size, note FROM ledger_checkpoints WHERE organization_id = $1 ORDER BY size DESC, signed_at DESC LIMIT 1';
/** The same, with the tree's edge. One is published of a head that is stored; where that is missing the tiles have its hashes too. */
const NEWEST_WITH_EDGE = `
  SELECT note, edge FROM (${NEWEST}) AS newest
  LEFT JOIN ledger_heads AS head ON head.organization_id = $1 AND head.size = newest.size`;
const BY_ID = `
  SELECT leaf_index::float8 AS index, bytes, note, edge FROM ledger_records LEFT JOIN (${NEWEST_WITH_EDGE}) AS published ON true
  WHERE organization_id = $1 AND record_id = $2`;
/** A record's id begins with the second in which it was made, which is that of its time or one so near to it. */
const ID_SECONDS_APART = 2;

/** The organization's newest checkpoint as it was signed, or null where there is none yet. */
export async function readCheckpoint(pool: pg.Pool, organizationId: Id): Promise<Buffer | null> {
  const { rows } = await pool.query<{ note: Buffer }>({
    name: 'read-checkpoint',
    text: NEWEST,
    values: [organizationId],
  });
  return rows[0]?.note ?? null;
}

/** How many records the newest checkpoint is of: what lies beyond it is not given out. 0 where there is none yet. */
export async function publishedSize(pool: pg.Pool, organizationId: Id): Promise<number> {
  const note = await readCheckpoint(pool, organizationId);
  return note === null ? 0 : headIn(note).size;
}

interface Published {
  note: Buffer;
  /** The hashes of the tree's right edge, or null where they are not stored. */
  edge: Buffer | null;
}

/**
 * Makes proofs against the newest checkpoint that is published as it is asked, by two questions to the database: for the record with the
 * checkpoint, and for those tiles that were not asked for lately ({@link KeptTiles}). Each is checked before it is given out.
 */
export class Prover {
  readonly #tiles = new KeptTiles();

  constructor(readonly pool: pg.Pool) {}

  /** A record with what shows that it is under the newest checkpoint. */
  async proveRecord(organizationId: Id, recordId: Id): Promise<ProofReply> {
    const { rows } = await this.pool.query<{ index: number; bytes: Buffer } & (Published | { note: null })>({
      name: 'prove-by-id',
      text: BY_ID,
      values: [organizationId, recordId],
    });
    const record = rows.find(({ bytes }) => parseEvent(bytes).id === recordId);
    if (record === undefined) return unlessRetired(recordId, await readRetired(this.pool, organizationId));
    if (record.note === null) return { status: 'not-yet' };
    const { index, bytes, note } = record;
    const head = headIn(note);
    if (head.size <= index) return { status: 'not-yet' };
    const proof = await this.#checked(organizationId, async () => {
      const made = await proveInclusion(this.#nodes(organizationId, head.size, record), index, head.size);
      checkInclusion(SHA256_TREE.leaf(bytes), index, made, head);
      return made;
    });
    return { status: 'ok', value: { record: base64(bytes), index, proof: proof.map(base64), checkpoint: note.toString('utf8') } };
  }

  /** What shows that the tree of `to` records extends that of `from`, both at most the newest checkpoint's. */
  async proveExtension(organizationId: Id, from: number, to: number): Promise<ConsistencyReply> {
    const { rows } = await this.pool.query<Published>({ name: 'read-published', text: NEWEST_WITH_EDGE, values: [organizationId] });
    const [published] = rows;
    if (published === undefined) return to > 0 ? { status: 'not-yet' } : { status: 'ok', value: { from, to, proof: [] } };
    const head = headIn(published.note);
    if (to > head.size) return { status: 'not-yet' };
    const proof = await this.#checked(organizationId, async () => {
      const nodes = this.#nodes(organizationId, head.size, published);
      const made = await proveConsistency(nodes, from, to);
      const [older, newer] = [await headAt(nodes, from), await headAt(nodes, to)];
      checkConsistency(older, newer, made);
      checkConsistency(newer, head, await proveConsistency(nodes, to, head.size));
      return made;
    });
    return { status: 'ok', value: { from, to, proof: proof.map(base64) } };
  }

  #nodes(organizationId: Id, size: number, { edge }: Published): NodeReader {
    const nodes = hashTileNodeReader(this.#tiles.reader(new LedgerTiles(this.pool, organizationId)), size);
    return edge === null ? nodes : edgeNodeReader(CompactRange.from(size, splitHashes(edge)), nodes);
  }

  /** What was made, once it checks: where it does not by the tiles that are kept, by those that the database has now. Rejects as `make` does. */
  async #checked<T>(organizationId: Id, make: () => Promise<T>): Promise<T> {
    try {
      return await make();
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
      this.#tiles.forget(organizationId);
      return make();
    }
  }
}

const headIn = (note: Buffer) => parseCheckpoint(parseNote(note).text);

const headAt = async (nodes: NodeReader, size: number): Promise<TreeHead> => ({ size, root: (await readCompactRange(nodes, size)).root() });

/** Whether a record that is not there may have left: nothing is kept of its id, but until when records have left is known. */
function unlessRetired(recordId: Id, { size, latest }: Retired): ProofReply {
  const isAfter = latest === null || parseInt(recordId.slice(0, 8), 16) > latest + ID_SECONDS_APART;
  return isAfter ? { status: 'unknown' } : { status: 'retired', from: size };
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

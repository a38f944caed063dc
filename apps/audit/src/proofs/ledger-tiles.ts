import type { Id } from '@kms/contracts';
import { TILE_WIDTH, tileNodeReader, type NodeReader, type Tile, type TileReader } from '@kms/merkle';
import type pg from 'pg';

/** A tile of the ledger is asked for that it does not have. */
export class TileMissingError extends Error {
  override readonly name = 'TileMissingError';
}

// Leaves leave the ledger by whole tiles, so those of one tile are either here or there. Of a retired one all hashes are there.
// By the subselects and limits PostgreSQL takes every range for small, whatever it knows of the table, and so plans these statements once: it
// took longer to plan them each time than to carry them out.
const LEAVES = `
  SELECT coalesce(
    (SELECT substr(hashes, 1, ($3::bigint - $2::bigint)::int * 32) FROM retired_leaves WHERE organization_id = $1 AND tile = $2::bigint / ${TILE_WIDTH}),
    (SELECT string_agg(leaf_hash, '' ORDER BY leaf_index) FROM (
       SELECT leaf_index, leaf_hash FROM ledger_records
       WHERE organization_id = $1 AND leaf_index >= (SELECT $2::bigint) AND leaf_index < (SELECT $3::bigint)
       ORDER BY leaf_index LIMIT ${TILE_WIDTH}) AS leaves)) AS hashes`;
const NODES = `
  SELECT string_agg(hash, '' ORDER BY node_index) AS hashes FROM (
    SELECT node_index, hash FROM ledger_nodes
    WHERE organization_id = $1 AND level = (SELECT $4::smallint) AND node_index >= (SELECT $2::bigint) AND node_index < (SELECT $3::bigint)
    ORDER BY node_index LIMIT ${TILE_WIDTH}) AS nodes`;
// The running size picks the records; what it counts is stored beside the bytes, which are read only where they are answered.
const ENTRIES = `
  SELECT bytes FROM (
    SELECT leaf_index, bytes, sum(length(bytes)) OVER (ORDER BY leaf_index) AS total FROM ledger_records
    WHERE organization_id = $1 AND leaf_index >= $2 AND leaf_index < $3) AS sized
  WHERE total <= $4 ORDER BY leaf_index`;

/** An organization's tree as tiles (C2SP tlog-tiles), made of the hashes that the ledger keeps. */
export class LedgerTiles implements TileReader {
  constructor(
    readonly pool: pg.Pool,
    readonly organizationId: Id,
  ) {}

  /** The hashes of each tile. Rejects with {@link TileMissingError}. */
  readTiles(tiles: readonly Tile[]): Promise<Uint8Array[]> {
    return Promise.all(tiles.map((tile) => this.#hashes(tile)));
  }

  /** Records from that index on, below `end`, as many as fit into so many bytes. Rejects with {@link TileMissingError} where there is none. */
  async readEntries(start: number, end: number, maxBytes: number): Promise<Uint8Array[]> {
    const values = [this.organizationId, start, end, maxBytes];
    const { rows } = await this.pool.query<{ bytes: Buffer }>({ name: 'read-entries', text: ENTRIES, values });
    if (rows.length === 0) throw new TileMissingError();
    return rows.map(({ bytes }) => bytes);
  }

  /** The nodes of the tree of that size. */
  nodes(size: number): NodeReader {
    return tileNodeReader(this, size);
  }

  async #hashes({ level, index, width }: Tile): Promise<Uint8Array> {
    const range = [this.organizationId, index * TILE_WIDTH, index * TILE_WIDTH + width];
    const query =
      level === 0
        ? { name: 'read-leaves', text: LEAVES, values: range }
        : { name: 'read-nodes', text: NODES, values: [...range, Number(level) * 8] };
    const { rows } = await this.pool.query<{ hashes: Buffer | null }>(query);
    const hashes = rows[0]?.hashes ?? Buffer.alloc(0);
    if (hashes.length !== width * 32) throw new TileMissingError();
    return hashes;
  }
}

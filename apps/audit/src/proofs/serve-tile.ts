import type { TilePart, TileReply, TileRequest } from '@kms/contracts';
import { MAX_ENTRY_BYTES, TILE_WIDTH, tileInTree, writeEntryBundle } from '@kms/merkle';
import type pg from 'pg';
import { readRetired } from '../retire/read-retired.ts';
import { LedgerTiles } from './ledger-tiles.ts';
import { publishedSize } from './prove.ts';

/** Most bytes of records in one answer: with their lengths, and in base64, they fit into a frame of the hop. At least one record always does. */
export const MAX_PART_BYTES = 8 * MAX_ENTRY_BYTES;

/** A tile or a part of a bundle, where all of it is under the newest checkpoint. */
export async function serveTile(pool: pg.Pool, { organizationId, level, index, width, from }: TileRequest): Promise<TileReply> {
  const published = tileInTree(level, index, await publishedSize(pool, organizationId));
  if (published === null || published.width < width) return { status: 'not-yet' };
  const tiles = new LedgerTiles(pool, organizationId);
  if (level === 'entries') {
    const first = index * TILE_WIDTH;
    const { size: retired } = await readRetired(pool, organizationId);
    if (first < retired) return { status: 'retired', from: retired };
    const entries = await tiles.readEntries(first + from, first + width, MAX_PART_BYTES);
    return part(writeEntryBundle(entries), from + entries.length);
  }
  const [hashes = new Uint8Array()] = await tiles.readTiles([{ level, index, width }]);
  return part(hashes, width);
}

const part = (bytes: Uint8Array, to: number): { status: 'ok'; value: TilePart } => ({
  status: 'ok',
  value: { bytes: Buffer.from(bytes).toString('base64'), to },
});

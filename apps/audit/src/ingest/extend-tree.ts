import type { Id } from '@kms/contracts';
import { CompactRange, HASH_BYTES } from '@kms/merkle';
import type pg from 'pg';

/** A tile has a root on every eighth level of the tree. */
const TILE_HEIGHT = 8;

/** The right edge of an organization's tree as it is stored last; the empty tree where nothing is stored. */
export async function readHead(client: pg.ClientBase | pg.Pool, organizationId: Id): Promise<CompactRange> {
  const { rows } = await client.query<{ size: string; edge: Buffer }>({
    name: 'read-head',
    text: 'SELECT size, edge FROM ledger_heads WHERE organization_id = $1 ORDER BY size DESC LIMIT 1',
    values: [organizationId],
  });
  const [row] = rows;
  return row === undefined ? CompactRange.empty() : CompactRange.from(Number(row.size), splitHashes(row.edge));
}

/** Appends leaves to the tree and stores its new edge, and the roots of the tiles that it completed. */
export async function extendTree(
  client: pg.ClientBase,
  organizationId: Id,
  head: CompactRange,
  leafHashes: readonly Buffer[],
): Promise<void> {
  const roots: { level: number; index: number; hash: Uint8Array }[] = [];
  for (const hash of leafHashes) {
    head.append(hash, ({ level, index }, node) => {
      if (level > 0 && level % TILE_HEIGHT === 0) roots.push({ level, index, hash: node });
    });
  }
  await client.query({
    name: 'insert-head',
    text: 'INSERT INTO ledger_heads (organization_id, size, edge) VALUES ($1, $2, $3)',
    values: [organizationId, head.size, Buffer.concat(head.hashes())],
  });
  if (roots.length === 0) return;
  await client.query({
    name: 'insert-nodes',
    text: `INSERT INTO ledger_nodes (organization_id, level, node_index, hash)
           SELECT $1, level, index, substr($2::bytea, (place::int - 1) * ${HASH_BYTES} + 1, ${HASH_BYTES})
           FROM unnest($3::smallint[], $4::bigint[]) WITH ORDINALITY AS root (level, index, place)`,
    values: [
      organizationId,
      Buffer.concat(roots.map(({ hash }) => hash)),
      roots.map(({ level }) => level),
      roots.map(({ index }) => index),
    ],
  });
}

/** Cuts stored hashes apart; each a view of the same bytes. */
export function splitHashes(bytes: Buffer): Buffer[] {
  return Array.from({ length: bytes.length / HASH_BYTES }, (_, index) => bytes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES));
}

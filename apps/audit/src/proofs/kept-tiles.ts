import type { Id } from '@kms/contracts';
import { HashTile, type HashTileReader, type Tile } from '@kms/merkle';
import { LRUCache } from 'lru-cache';
import type { LedgerTiles } from './ledger-tiles.ts';

/** Most tiles that are kept; each takes up to 40 KiB, once all nodes over its hashes were asked for. */
const MAX_TILES = 512;

/**
 * The hash tiles that proofs were made of lately, over all organizations. A tree only grows, so what is kept is never stale: a tile that has
 * grown since is read anew when it is asked for wider than it is kept. Only a database that was taken back to another history holds other
 * hashes. A proof that does not check shows that, and its maker calls {@link forget}.
 */
export class KeptTiles {
  readonly #tiles: LRUCache<string, HashTile>;

  constructor(max = MAX_TILES) {
    this.#tiles = new LRUCache({ max });
  }

  /** An organization's tiles, those that are not kept by one call of the ledger's. Rejects as that does, and has then kept nothing of it. */
  reader(ledger: LedgerTiles): HashTileReader {
    const nameOf = ({ level, index }: Tile) => `${ledger.organizationId}/${level}/${index}`;
    return {
      readHashTiles: async (tiles) => {
        const held = new Map(tiles.map((tile) => [tile, this.#tiles.get(nameOf(tile))]));
        const missing = tiles.filter((tile) => (held.get(tile)?.width ?? 0) < tile.width);
        const read = missing.length === 0 ? [] : await ledger.readTiles(missing);
        for (const [at, tile] of missing.entries()) {
          const made = new HashTile(read[at] as Uint8Array);
          this.#tiles.set(nameOf(tile), made);
          held.set(tile, made);
        }
        return tiles.map((tile) => held.get(tile) as HashTile);
      },
    };
  }

  /** Drops all of an organization's tiles. */
  forget(organizationId: Id): void {
    for (const name of [...this.#tiles.keys()]) if (name.startsWith(`${organizationId}/`)) this.#tiles.delete(name);
  }
}

import type { Id } from '@kms/contracts';
import { CompactRange, SHA256_TREE, TILE_WIDTH, tileNodes, writeEntryBundle, type NodeReader, type Tile } from '@kms/merkle';

/** A log in memory that keeps everything, and knows how much of it should have left. */
export class NeverRetired implements NodeReader {
  readonly records: Buffer[] = [];
  /** Where the eras that have ended end in this log. */
  readonly ends: number[] = [];
  /** How many records have left. */
  gone = 0;
  readonly #tree = CompactRange.empty();
  readonly #nodes = new Map<string, Uint8Array>();

  constructor(readonly organizationId: Id) {}

  append(records: readonly Buffer[]): void {
    for (const record of records) {
      this.records.push(record);
      this.#tree.append(SHA256_TREE.leaf(record), ({ level, index }, hash) => void this.#nodes.set(`${level}/${index}`, hash));
    }
  }

  endEra(): void {
    this.ends.push(this.records.length);
  }

  retire(era: number): void {
    const end = this.ends[era] as number;
    this.gone = end - (end % TILE_WIDTH);
  }

  readNodes(nodes: Parameters<NodeReader['readNodes']>[0]): Promise<Uint8Array[]> {
    return Promise.resolve(nodes.map(({ level, index }) => this.#nodes.get(`${level}/${index}`) as Uint8Array));
  }

  /** A tile's bytes; null for a bundle of records that have left. */
  content(tile: Tile): Buffer | null {
    const nodes = tileNodes(tile);
    if (tile.level !== 'entries') return Buffer.concat(nodes.map(({ level, index }) => this.#nodes.get(`${level}/${index}`) as Uint8Array));
    if (tile.index * TILE_WIDTH < this.gone) return null;
    return Buffer.from(writeEntryBundle(nodes.map(({ index }) => this.records[index] as Buffer)));
  }
}

import type { StoredBlock } from './relay.ts';

/** Most bytes of events that are kept; what is older is read from the journal again. */
const MAX_BYTES = 8 * 1024 * 1024;

/** What an open writer committed last, kept until it is sent: in the usual case the journal is written and never read. */
export class RecentBlocks {
  #blocks: StoredBlock[] = [];
  #bytes = 0;
  #last = 0;

  /** Takes the writer's next block. */
  add(block: StoredBlock): void {
    this.#blocks.push(block);
    this.#bytes += block.events.length;
    this.#last = block.lastSequence;
    while (this.#bytes > MAX_BYTES && this.#blocks.length > 1) this.#forgetOldest();
  }

  /**
   * The blocks that end after `sequence`, in order, as many as fit in about `maxBytes` but at least one where there are any. Forgets
   * those before. `null`: some are no longer kept, only the journal has them.
   */
  after(sequence: number, maxBytes: number): readonly StoredBlock[] | null {
    while ((this.#blocks[0]?.lastSequence ?? Infinity) <= sequence) this.#forgetOldest();
    if (sequence >= this.#last) return [];
    const [first] = this.#blocks;
    if (first === undefined || first.firstSequence > sequence + 1) return null;
    let bytes = 0;
    const end = this.#blocks.findIndex(({ events }) => (bytes += events.length) > maxBytes);
    return end === -1 ? [...this.#blocks] : this.#blocks.slice(0, Math.max(1, end));
  }

  #forgetOldest(): void {
    this.#bytes -= this.#blocks.shift()?.events.length ?? 0;
  }
}

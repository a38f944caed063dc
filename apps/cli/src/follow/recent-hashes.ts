const HASH_BYTES = 32;
/** Numbers of one writer that are kept together. */
const PAGE = 256;

/**
 * The hashes of the events that were read last, by writer and number, in a bounded number of bytes: whole pages of numbers are kept, and the
 * page that was begun first goes first.
 */
export class RecentHashes {
  readonly #pages = new Map<string, Buffer>();
  readonly #maxPages: number;

  /** `maxBytes` is what the hashes may take, at least one page of 8 KiB. */
  constructor(maxBytes: number) {
    this.#maxPages = Math.max(1, Math.floor(maxBytes / (PAGE * HASH_BYTES)));
  }

  /** The 32 bytes that were kept, or null where they are not (any more). */
  get(writer: string, sequence: number): Buffer | null {
    const page = this.#pages.get(pageOf(writer, sequence));
    const at = (sequence % PAGE) * HASH_BYTES;
    const hash = page?.subarray(at, at + HASH_BYTES);
    return hash?.some((byte) => byte !== 0) ? hash : null;
  }

  set(writer: string, sequence: number, hash: Uint8Array): void {
    const name = pageOf(writer, sequence);
    let page = this.#pages.get(name);
    if (page === undefined) {
      page = Buffer.alloc(PAGE * HASH_BYTES);
      this.#pages.set(name, page);
      if (this.#pages.size > this.#maxPages) this.#pages.delete(this.#pages.keys().next().value as string);
    }
    page.set(hash, (sequence % PAGE) * HASH_BYTES);
  }
}

const pageOf = (writer: string, sequence: number) => `${writer}/${Math.floor(sequence / PAGE)}`;

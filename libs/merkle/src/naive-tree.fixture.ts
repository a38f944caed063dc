import { createHash } from 'node:crypto';

/**
 * The definitions of RFC 6962, section 2.1, word for word, in hexadecimal. It shares no code with the library.
 */
export class NaiveTree {
  readonly leafHashes: readonly string[];
  readonly #known = new Map<string, string>();

  constructor(records: readonly Uint8Array[]) {
    this.leafHashes = records.map((record) => sha256(Buffer.from([0]), record));
  }

  /** MTH(D[start:end]), remembered by its range. */
  mth(start: number, end: number): string {
    if (start === end) return sha256();
    if (end - start === 1) return this.leafHashes[start] as string;
    const middle = start + split(end - start);
    const key = `${start}-${end}`;
    const hash = this.#known.get(key) ?? sha256(Buffer.from([1]), bytes(this.mth(start, middle)), bytes(this.mth(middle, end)));
    this.#known.set(key, hash);
    return hash;
  }

  /** PATH(m, D[start:end]). */
  path(m: number, start: number, end: number): string[] {
    if (end - start === 1) return [];
    const k = split(end - start);
    if (m < k) return [...this.path(m, start, start + k), this.mth(start + k, end)];
    return [...this.path(m - k, start + k, end), this.mth(start, start + k)];
  }

  /** SUBPROOF(m, D[start:end], b). */
  subproof(m: number, start: number, end: number, b: boolean): string[] {
    const n = end - start;
    if (m === n) return b ? [] : [this.mth(start, end)];
    const k = split(n);
    if (m <= k) return [...this.subproof(m, start, start + k, b), this.mth(start + k, end)];
    return [...this.subproof(m - k, start + k, end, false), this.mth(start, start + k)];
  }
}

/** The largest power of two below n. */
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

function sha256(...parts: Uint8Array[]): string {
  return createHash('sha256').update(Buffer.concat(parts)).digest('hex');
}

function bytes(hex: string): Buffer {
  return Buffer.from(hex, 'hex');
}

/** Where a partition's reader stands. */
export interface Standing {
  /** The offset that is read next. */
  position: bigint;
  /** Counts the calls of the handler that ended, well or badly: one that fails aloud is not a stall. */
  attempts: number;
  /** The offset after the partition's last message. */
  high: bigint;
}

/**
 * Finds readers that stopped without a word: messages wait, and for a given time neither did the position move nor did a call of the
 * handler end. It is asked from time to time; the time runs from the first look that found messages waiting.
 */
export class StallDetector {
  readonly #limitMs: number;
  readonly #now: () => number;
  readonly #seen = new Map<number, { position: bigint; attempts: number; since: number }>();

  /** `now` is a monotonic clock in milliseconds. */
  constructor(limitMs: number, now: () => number) {
    this.#limitMs = limitMs;
    this.#now = now;
  }

  /** Whether this partition's reader has stalled. */
  isStalled(partition: number, { position, attempts, high }: Standing): boolean {
    const seen = this.#seen.get(partition);
    if (high <= position) {
      this.#seen.delete(partition);
      return false;
    }
    if (seen?.position !== position || seen.attempts !== attempts) {
      this.#seen.set(partition, { position, attempts, since: this.#now() });
      return false;
    }
    return this.#now() - seen.since >= this.#limitMs;
  }

  /** Forgets every reader: the time starts anew, for example because the broker could not be asked. */
  reset(): void {
    this.#seen.clear();
  }
}

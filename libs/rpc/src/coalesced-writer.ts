import type { Duplex } from 'node:stream';

/**
 * Sends all frames that are written in one turn of the event loop as one: one system call and one TLS record (or a few) instead of many.
 * A turn's frames leave in `setImmediate`, so a frame waits for the rest of the current turn and no longer.
 */
export class CoalescedWriter {
  readonly #stream: Duplex;
  readonly #flushed: (() => void) | undefined;
  #frames: Buffer[] = [];
  #size = 0;

  /** `flushed` is called after every time that a turn's frames were handed to the stream. */
  constructor(stream: Duplex, flushed?: () => void) {
    this.#stream = stream;
    this.#flushed = flushed;
  }

  /** How many bytes wait here and in the stream until the peer takes them. */
  get backlog(): number {
    return this.#size + this.#stream.writableLength;
  }

  /** Takes a whole frame. Once the stream has ended or broken, frames are dropped: there is nobody left to read them. */
  write(frame: Buffer): void {
    if (!this.#stream.writable) return;
    this.#frames.push(frame);
    this.#size += frame.length;
    if (this.#frames.length === 1) setImmediate(() => this.flush());
  }

  /** Hands what waits to the stream now. */
  flush(): void {
    const frames = this.#frames;
    const [first] = frames;
    if (first === undefined) return;
    const size = this.#size;
    this.#frames = [];
    this.#size = 0;
    if (!this.#stream.writable) return;
    this.#stream.write(frames.length === 1 ? first : Buffer.concat(frames, size));
    this.#flushed?.();
  }
}

/** One message of PostgreSQL's wire protocol (version 3): its type (null for the startup message) and all of its bytes. */
export interface WireMessage {
  type: string | null;
  bytes: Buffer;
}

const LENGTH_BYTES = 4;

/** Cuts one direction of a connection into messages, whatever pieces its bytes come in. Encrypted connections are not understood. */
export class WireReader {
  #rest: Buffer = Buffer.alloc(0);
  #isAtStartup: boolean;

  /** Only what a client sends begins with a startup message, which has no type. */
  constructor({ hasStartup }: { hasStartup: boolean }) {
    this.#isAtStartup = hasStartup;
  }

  push(chunk: Buffer): WireMessage[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const messages: WireMessage[] = [];
    for (let message = this.#take(); message !== null; message = this.#take()) messages.push(message);
    return messages;
  }

  #take(): WireMessage | null {
    const typeBytes = this.#isAtStartup ? 0 : 1;
    if (this.#rest.length < typeBytes + LENGTH_BYTES) return null;
    const end = typeBytes + this.#rest.readInt32BE(typeBytes);
    if (this.#rest.length < end) return null;
    const bytes = this.#rest.subarray(0, end);
    this.#rest = this.#rest.subarray(end);
    this.#isAtStartup = false;
    return { type: typeBytes === 0 ? null : String.fromCharCode(bytes[0] as number), bytes };
  }
}

/** Follows what a client prepares and binds, to know the text of what it executes. */
export class StatementTracker {
  readonly #statements = new Map<string, string>();
  readonly #portals = new Map<string, string>();

  /** The text of the statement that a message makes the server carry out, or null. */
  executedBy({ type, bytes }: WireMessage): string | null {
    const [first = '', second = ''] = bytes.toString('utf8', 1 + LENGTH_BYTES).split('\0', 2);
    if (type === 'Q') return first;
    if (type === 'P') this.#statements.set(first, second);
    if (type === 'B') this.#portals.set(first, this.#statements.get(second) ?? '');
    return type === 'E' ? (this.#portals.get(first) ?? '') : null;
  }
}

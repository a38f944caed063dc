import { isUtf8 } from 'node:buffer';

/**
 * The frames of the hop, version 1. All integers are big-endian.
 *
 * ```
 * uint32  length of all that follows, 5 to 1,048,576 bytes
 * uint32  request id, chosen by the client; an answer carries the id of its request
 * uint8   kind
 * ...     body
 * ```
 * The body of a request is `uint8 length ‖ pattern (UTF-8, 1 to 255 bytes) ‖ JSON`, that of an answer is JSON, that of a failure is one
 * byte, that of ping, pong and goodbye is empty. JSON is UTF-8; no JSON at all stands for `undefined`.
 */
export const FrameKind = { Request: 1, Answer: 2, Failure: 3, Ping: 4, Pong: 5, Goodbye: 6 } as const;

/** Why the server did not answer a request; one byte on the wire. It tells the kind of trouble and no detail. */
export const FailureCode = { Failed: 1, Overloaded: 2, Unavailable: 3, UnknownPattern: 4 } as const;
export type FailureCode = (typeof FailureCode)[keyof typeof FailureCode];

/** The largest length that a frame may state, in bytes. */
export const MAX_FRAME_LENGTH = 1_048_576;

const LENGTH_SIZE = 4;
const HEADER_SIZE = 5;
const BODY_OFFSET = LENGTH_SIZE + HEADER_SIZE;
const EMPTY = Buffer.alloc(0);

/** Bytes that are no frame of this protocol: the connection they came on cannot be understood any further. Says what, never the bytes. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

/** A message that does not fit into one frame. */
export class FrameTooLargeError extends Error {
  override readonly name = 'FrameTooLargeError';

  constructor() {
    super(`A message takes more than ${MAX_FRAME_LENGTH} bytes.`);
  }
}

/**
 * One request as a frame.
 * Throws {@link FrameTooLargeError}, RangeError on a pattern that is empty or longer than 255 bytes, and TypeError if JSON cannot express
 * the payload.
 */
export function encodeRequest(id: number, pattern: string, payload: unknown): Buffer {
  const patternLength = Buffer.byteLength(pattern);
  if (patternLength < 1 || patternLength > 255) throw new RangeError('A pattern has 1 to 255 bytes.');
  const json = toJson(payload);
  const frame = allocate(id, FrameKind.Request, 1 + patternLength + Buffer.byteLength(json));
  frame[BODY_OFFSET] = patternLength;
  frame.write(pattern, BODY_OFFSET + 1);
  frame.write(json, BODY_OFFSET + 1 + patternLength);
  return frame;
}

/** The answer to a request as a frame. Throws as {@link encodeRequest} does. */
export function encodeAnswer(id: number, value: unknown): Buffer {
  const json = toJson(value);
  const frame = allocate(id, FrameKind.Answer, Buffer.byteLength(json));
  frame.write(json, BODY_OFFSET);
  return frame;
}

export function encodeFailure(id: number, code: FailureCode): Buffer {
  const frame = allocate(id, FrameKind.Failure, 1);
  frame[BODY_OFFSET] = code;
  return frame;
}

export function encodePing(): Buffer {
  return allocate(0, FrameKind.Ping, 0);
}

export function encodePong(): Buffer {
  return allocate(0, FrameKind.Pong, 0);
}

/** Says that the server is about to end: it answers what is under way, and the client ends the connection once it has all answers. */
export function encodeGoodbye(): Buffer {
  return allocate(0, FrameKind.Goodbye, 0);
}

/** The pattern and the payload of a request's body. Throws {@link FrameError}. */
export function decodeRequest(body: Buffer): { pattern: string; payload: unknown } {
  const end = 1 + (body[0] ?? 0);
  if (end === 1 || end > body.length) throw new FrameError('A request has no whole pattern.');
  const pattern = body.subarray(1, end);
  if (!isUtf8(pattern)) throw new FrameError('A pattern is not UTF-8.');
  return { pattern: pattern.toString('utf8'), payload: decodeJson(body.subarray(end)) };
}

/** The value in an answer's body. Throws {@link FrameError}. */
export function decodeAnswer(body: Buffer): unknown {
  return decodeJson(body);
}

/** The code in a failure's body. Throws {@link FrameError}. */
export function decodeFailure(body: Buffer): FailureCode {
  const code = body[0];
  if (body.length !== 1 || code === undefined || !isFailureCode(code)) throw new FrameError('A failure has an unknown code.');
  return code;
}

function toJson(value: unknown): string {
  return (JSON.stringify(value) as string | undefined) ?? '';
}

function allocate(id: number, kind: number, bodySize: number): Buffer {
  const length = HEADER_SIZE + bodySize;
  if (length > MAX_FRAME_LENGTH) throw new FrameTooLargeError();
  // Safe although the memory is not cleared: the header and the body together overwrite every byte of it.
  const frame = Buffer.allocUnsafe(LENGTH_SIZE + length);
  frame.writeUInt32BE(length, 0);
  frame.writeUInt32BE(id, LENGTH_SIZE);
  frame[LENGTH_SIZE + 4] = kind;
  return frame;
}

function decodeJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  if (!isUtf8(bytes)) throw new FrameError('A message is not UTF-8.');
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch {
    // The parser's own error quotes the text, which may hold a secret: it must go no further.
    throw new FrameError('A message is not JSON.');
  }
}

function isFailureCode(code: number): code is FailureCode {
  return code >= FailureCode.Failed && code <= FailureCode.UnknownPattern;
}

/** Takes one frame; `body` is only valid during the call, as it may be a view of a larger buffer. */
export type FrameConsumer = (id: number, kind: number, body: Buffer) => void;

/**
 * Cuts a stream of bytes into frames, however the stream is cut into chunks. Holds at most one incomplete frame, so at most
 * {@link MAX_FRAME_LENGTH} + 4 bytes, and copies every byte of it once.
 */
export class FrameParser {
  readonly #consume: FrameConsumer;
  /** The beginning of a frame: at first room for its length only, then for all of it. */
  #partial: Buffer = EMPTY;
  #filled = 0;
  #broken = false;

  constructor(consume: FrameConsumer) {
    this.#consume = consume;
  }

  /**
   * Takes the next bytes and hands on every frame that they complete, in order.
   * Throws {@link FrameError} on a length or a kind that no frame has, and whatever the consumer throws; from then on on every call,
   * because where the next frame begins is no longer known.
   */
  push(chunk: Buffer): void {
    if (this.#broken) throw new FrameError('The stream was broken before.');
    try {
      this.#parse(chunk);
    } catch (error) {
      this.#broken = true;
      this.#partial = EMPTY;
      throw error;
    }
  }

  #parse(chunk: Buffer): void {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#partial.length > 0) {
        offset += this.#fill(chunk, offset);
        continue;
      }
      const available = chunk.length - offset;
      const size = available < LENGTH_SIZE ? LENGTH_SIZE : frameSize(chunk, offset);
      if (available < size) {
        this.#partial = Buffer.allocUnsafe(size);
        this.#filled = 0;
        continue;
      }
      this.#deliver(chunk, offset, offset + size);
      offset += size;
    }
  }

  /** Copies what is missing from the chunk, and returns how many bytes it took. */
  #fill(chunk: Buffer, offset: number): number {
    const taken = chunk.copy(this.#partial, this.#filled, offset);
    this.#filled += taken;
    if (this.#filled < this.#partial.length) return taken;
    const partial = this.#partial;
    if (partial.length === LENGTH_SIZE) {
      this.#partial = Buffer.allocUnsafe(frameSize(partial, 0));
      partial.copy(this.#partial);
      return taken;
    }
    this.#partial = EMPTY;
    this.#deliver(partial, 0, partial.length);
    return taken;
  }

  #deliver(bytes: Buffer, start: number, end: number): void {
    const kind = bytes[start + LENGTH_SIZE + 4] as number;
    if (kind < FrameKind.Request || kind > FrameKind.Goodbye) throw new FrameError('A frame has an unknown kind.');
    const body = bytes.subarray(start + BODY_OFFSET, end);
    if (kind >= FrameKind.Ping && body.length > 0) throw new FrameError('A frame of this kind has no body.');
    this.#consume(bytes.readUInt32BE(start + LENGTH_SIZE), kind, body);
  }
}

/** The size of the whole frame that begins there, its length field included. */
function frameSize(bytes: Buffer, offset: number): number {
  const length = bytes.readUInt32BE(offset);
  if (length < HEADER_SIZE || length > MAX_FRAME_LENGTH) throw new FrameError('A frame states a length out of range.');
  return LENGTH_SIZE + length;
}

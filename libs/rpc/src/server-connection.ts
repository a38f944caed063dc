import type { TLSSocket } from 'node:tls';
import { CoalescedWriter } from './coalesced-writer.ts';
import {
  decodeRequest,
  encodeAnswer,
  encodeFailure,
  encodeGoodbye,
  encodePong,
  FailureCode,
  FrameError,
  FrameKind,
  FrameParser,
  type FailureCode as FailureCodeType,
} from './frames.ts';
import type { RpcLogger } from './logger.ts';

/** Carries out one request; undefined where nobody knows the pattern. */
export type FindHandler = (pattern: string) => ((payload: unknown) => Promise<unknown>) | undefined;

/** Told of each call that was carried out: how long it took, and its answer, or `undefined` and that it failed. */
export type OnCall = (pattern: string, milliseconds: number, answer: unknown, hasFailed: boolean) => void;

/** From this many unsent bytes on no further request is read, until the peer has taken them all. */
const PAUSE_BACKLOG = 1_048_576;

/** One authenticated connection at the server: its requests, and how many of them are under way. */
export class ServerConnection {
  readonly #socket: TLSSocket;
  readonly #findHandler: FindHandler;
  readonly #maxInFlight: number;
  readonly #logger: RpcLogger;
  readonly #onCall: OnCall;
  readonly #writer: CoalescedWriter;
  #inFlight = 0;
  #closing = false;

  constructor(socket: TLSSocket, findHandler: FindHandler, maxInFlight: number, logger: RpcLogger, onCall: OnCall) {
    this.#socket = socket;
    this.#findHandler = findHandler;
    this.#maxInFlight = maxInFlight;
    this.#logger = logger;
    this.#onCall = onCall;
    this.#writer = new CoalescedWriter(socket, () => this.#pauseWhenUnread());
    const parser = new FrameParser((id, kind, body) => this.#take(id, kind, body));
    socket.on('data', (chunk: Buffer) => this.#read(parser, chunk));
    socket.on('error', (error: NodeJS.ErrnoException) => this.#logger.warn({ code: error.code }, 'A connection of the hop broke.'));
  }

  /** Refuses what arrives from now on; resolves when the client, told so, has its answers and has ended the connection. */
  finish(): Promise<void> {
    this.#closing = true;
    this.#writer.write(encodeGoodbye());
    return new Promise((resolve) => this.#socket.once('close', () => resolve()));
  }

  /** Sends what was answered and ends the connection. */
  end(): void {
    this.#writer.flush();
    this.#socket.destroySoon();
  }

  #read(parser: FrameParser, chunk: Buffer): void {
    try {
      parser.push(chunk);
    } catch (error) {
      // Where the next frame begins is unknown, so nothing after this can be trusted to mean what it says.
      this.#logger.error({ err: error }, 'A peer sent what is no frame; its connection is closed.');
      this.#socket.destroy();
    }
  }

  #take(id: number, kind: number, body: Buffer): void {
    if (kind === FrameKind.Ping) return this.#writer.write(encodePong());
    if (kind !== FrameKind.Request) throw new FrameError('A client sent a frame that only a server sends.');
    const { pattern, payload } = decodeRequest(body);
    if (this.#closing) return this.#refuse(id, FailureCode.Unavailable);
    if (this.#inFlight >= this.#maxInFlight) return this.#refuse(id, FailureCode.Overloaded);
    const handler = this.#findHandler(pattern);
    if (handler === undefined) {
      this.#logger.warn({ pattern }, 'A call was refused: nothing here answers it.');
      return this.#refuse(id, FailureCode.UnknownPattern);
    }
    void this.#answer(id, pattern, handler, payload);
  }

  #refuse(id: number, code: FailureCodeType): void {
    this.#writer.write(encodeFailure(id, code));
  }

  /** Never rejects: whatever goes wrong is logged here, and the peer is told only that it went wrong. */
  async #answer(id: number, pattern: string, handler: (payload: unknown) => Promise<unknown>, payload: unknown): Promise<void> {
    this.#inFlight++;
    const begin = performance.now();
    try {
      const answer = await handler(payload);
      this.#writer.write(encodeAnswer(id, answer));
      this.#onCall(pattern, performance.now() - begin, answer, false);
    } catch (error) {
      this.#onCall(pattern, performance.now() - begin, undefined, true);
      this.#logger.error({ err: error, pattern }, 'A call failed.');
      this.#writer.write(encodeFailure(id, FailureCode.Failed));
    } finally {
      this.#inFlight--;
    }
  }

  #pauseWhenUnread(): void {
    if (this.#writer.backlog < PAUSE_BACKLOG || this.#socket.isPaused()) return;
    this.#socket.pause();
    this.#socket.once('drain', () => this.#socket.resume());
  }
}

import { connect, type TLSSocket } from 'node:tls';
import { CoalescedWriter } from './coalesced-writer.ts';
import { encodePing, FrameParser, type FrameConsumer } from './frames.ts';
import type { RpcLogger } from './logger.ts';
import { clientTlsOptions, isAuthenticationError } from './peer-authentication.ts';

export interface LinkOptions {
  host: string;
  port: number;
  secret: string;
  logger: RpcLogger;
}

export interface LinkEvents {
  /** The peer has proved that it knows the secret: frames may be sent. */
  up(): void;
  /** A connection was lost or an attempt failed; the next attempt is made at that time (of `performance.now()`). */
  down(nextAttemptAt: number): void;
  /** A frame came. What it throws ends the connection. */
  frame: FrameConsumer;
}

const KEEP_ALIVE_DELAY_MS = 10_000;
/** How long a connection may take until the peer is authenticated, in milliseconds. */
const CONNECT_TIMEOUT_MS = 1_000;
/** How long a peer may take to answer a ping before it counts as dead, in milliseconds. */
const PROBE_TIMEOUT_MS = 1_000;
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1_000;
const CLOSE_GRACE_MS = 500;

/** The client's one connection: made when first needed, and made again by itself whenever it is lost, until it is closed. */
export class Link {
  readonly #options: LinkOptions;
  readonly #tls: ReturnType<typeof clientTlsOptions>;
  readonly #events: LinkEvents;
  #socket: TLSSocket | undefined;
  /** Only while the peer is authenticated, so that no frame can leave before that. */
  #writer: CoalescedWriter | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #probeTimer: NodeJS.Timeout | undefined;
  #nextAttemptAt = 0;
  #failures = 0;
  #lastReceivedAt = 0;
  #lastReported: string | undefined;
  #closed = false;
  /** Whether all answers are there; only while the peer's goodbye is followed. */
  #isDone: (() => boolean) | undefined;

  /** Throws RangeError on a secret that is too short. */
  constructor(options: LinkOptions, events: LinkEvents) {
    this.#options = options;
    this.#tls = clientTlsOptions(options.secret);
    this.#events = events;
  }

  /** When the next attempt is made (of `performance.now()`); in the past while a connection is there or on its way. */
  get nextAttemptAt(): number {
    return this.#nextAttemptAt;
  }

  /** How many bytes the peer has not taken yet. */
  get backlog(): number {
    return this.#writer?.backlog ?? 0;
  }

  /** Whether frames can be sent. */
  get isUp(): boolean {
    return this.#writer !== undefined;
  }

  /**
   * To be told when the peer says goodbye: nothing more is sent on this connection, and it is ended as soon as `isDone`, which is asked
   * after each frame that still comes.
   */
  retire(isDone: () => boolean): void {
    this.#writer = undefined;
    this.#isDone = isDone;
    this.#stopProbe();
  }

  /** Connects unless a connection is there, on its way or about to be tried again. */
  open(): void {
    if (this.#closed || this.#socket !== undefined || this.#retryTimer !== undefined) return;
    this.#connect();
  }

  /** Sends a frame, and returns false where there is no authenticated connection. */
  send(frame: Buffer): boolean {
    if (this.#writer === undefined) return false;
    this.#writer.write(frame);
    return true;
  }

  /**
   * To be told when a call got no answer in time. If nothing at all has come since it was sent, the peer is asked for a sign of life, and
   * without one the connection is given up: a stopped process or a vanished machine does not close its connections.
   */
  doubt(sentAt: number): void {
    if (this.#writer === undefined || this.#probeTimer !== undefined || this.#lastReceivedAt >= sentAt) return;
    this.#writer.write(encodePing());
    this.#probeTimer = setTimeout(() => this.#socket?.destroy(codedError('ETIMEDOUT')), PROBE_TIMEOUT_MS);
  }

  /** Ends the connection for good; resolves when the socket is gone. */
  async close(): Promise<void> {
    const wasUp = this.#writer !== undefined;
    this.#closed = true;
    this.#writer = undefined;
    clearTimeout(this.#retryTimer);
    this.#stopProbe();
    const socket = this.#socket;
    if (socket === undefined) return;
    await new Promise<void>((resolve) => {
      const impatience = setTimeout(() => socket.destroy(), CLOSE_GRACE_MS);
      socket.once('close', () => {
        clearTimeout(impatience);
        resolve();
      });
      if (wasUp) socket.destroySoon();
      else socket.destroy();
    });
  }

  #connect(): void {
    const { host, port } = this.#options;
    const socket = connect({ ...this.#tls, host, port });
    this.#socket = socket;
    let failure: Error | null = null;
    const impatience = setTimeout(() => socket.destroy(codedError('ETIMEDOUT')), CONNECT_TIMEOUT_MS);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS);
    socket.once('secureConnect', () => {
      clearTimeout(impatience);
      this.#up(socket);
    });
    socket.on('error', (error) => (failure = error));
    socket.once('close', () => {
      clearTimeout(impatience);
      this.#down(failure);
    });
  }

  #up(socket: TLSSocket): void {
    if (this.#closed) return;
    const parser = new FrameParser(this.#events.frame);
    socket.on('data', (chunk: Buffer) => this.#receive(socket, parser, chunk));
    this.#writer = new CoalescedWriter(socket);
    this.#failures = 0;
    this.#lastReceivedAt = performance.now();
    this.#lastReported = undefined;
    this.#options.logger.info(this.#peer(), 'The connection to the peer is up.');
    this.#events.up();
  }

  #receive(socket: TLSSocket, parser: FrameParser, chunk: Buffer): void {
    this.#lastReceivedAt = performance.now();
    this.#stopProbe();
    try {
      parser.push(chunk);
      if (this.#isDone?.()) socket.destroySoon();
    } catch (error) {
      socket.destroy(error as Error);
    }
  }

  #down(failure: Error | null): void {
    const wasUp = this.#writer !== undefined;
    const wasRetired = this.#isDone !== undefined;
    this.#socket = undefined;
    this.#writer = undefined;
    this.#isDone = undefined;
    this.#stopProbe();
    if (this.#closed) return;
    if (wasRetired) this.#options.logger.info(this.#peer(), 'The peer ended in order; the connection is made again.');
    else this.#report(wasUp, failure);
    const delay = retryDelay(this.#failures++);
    this.#nextAttemptAt = performance.now() + delay;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.#connect();
    }, delay);
    this.#events.down(this.#nextAttemptAt);
  }

  #stopProbe(): void {
    clearTimeout(this.#probeTimer);
    this.#probeTimer = undefined;
  }

  /** Once per kind of trouble until the connection is up again, so that a peer that stays away does not fill the log. */
  #report(wasUp: boolean, failure: Error | null): void {
    const sentence = troubleSentence(wasUp, failure);
    if (sentence === this.#lastReported) return;
    this.#lastReported = sentence;
    this.#options.logger.warn({ ...this.#peer(), ...(failure ? { err: failure } : {}) }, sentence);
  }

  #peer(): { host: string; port: number } {
    return { host: this.#options.host, port: this.#options.port };
  }
}

function troubleSentence(wasUp: boolean, failure: Error | null): string {
  if (wasUp) return 'The connection to the peer was lost; it is made again.';
  if (isAuthenticationError(failure)) return 'The peer and this process do not have the same RPC_SECRET: no connection is made.';
  return 'No connection to the peer can be made; it is tried again.';
}

/** Doubles from 50 ms to 1 s, less up to a half at random, so that many clients do not all come back at the same moment. */
function retryDelay(failures: number): number {
  const longest = Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures, 10), LAST_RETRY_MS);
  return longest * (1 - Math.random() / 2);
}

function codedError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error('The peer gave no sign of life in time.'), { code });
}

import { createLogger } from '@kms/platform';
import { decodeAnswer, decodeFailure, encodeRequest, FailureCode, FrameError, FrameKind } from './frames.ts';
import { Link } from './link.ts';
import type { RpcLogger } from './logger.ts';
import { RpcError, type RpcErrorCode } from './rpc-error.ts';

export interface RpcClientOptions {
  host: string;
  port: number;
  /** At least 32 characters, the same at both ends. */
  secret: string;
  /** How long a call may take in all, waiting for the connection included, in milliseconds. 1,500 by default. */
  timeoutMs?: number;
  /** How many calls may be under way; one more is refused as `overloaded`. 4,096 by default. */
  maxInFlight?: number;
  /** By default a logger of its own on standard error. */
  logger?: RpcLogger;
}

interface PendingCall {
  readonly pattern: string;
  readonly startedAt: number;
  readonly deadline: number;
  /** The frame while it waits for a connection, null once it was sent. */
  unsent: Buffer | null;
  resolve(value: unknown): void;
  reject(error: RpcError): void;
}

const DEFAULT_TIMEOUT_MS = 1_500;
const DEFAULT_MAX_IN_FLIGHT = 4_096;
/** One timer looks after the time-outs of all calls; a call may overstay by this, in milliseconds. */
const SWEEP_INTERVAL_MS = 50;
/** From this many bytes on that the peer has not taken, calls are refused as `overloaded`. */
const MAX_BACKLOG = 16_777_216;

/**
 * The calling end of the hop: many calls at once on one kept-open connection, which is made with the first call and made again by itself
 * whenever it is lost. A call is sent at most once and never repeated here, because the peer may have carried it out already.
 */
export class RpcClient {
  readonly #peer: string;
  readonly #timeoutMs: number;
  readonly #maxInFlight: number;
  readonly #link: Link;
  readonly #pending = new Map<number, PendingCall>();
  #lastId = 0;
  #sweeper: NodeJS.Timeout | undefined;
  #closed: Promise<void> | undefined;

  /** Throws RangeError on a secret that is too short. */
  constructor(options: RpcClientOptions) {
    this.#peer = `${options.host}:${options.port}`;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#maxInFlight = options.maxInFlight ?? DEFAULT_MAX_IN_FLIGHT;
    const { host, port, secret, logger = createLogger('rpc') } = options;
    this.#link = new Link(
      { host, port, secret, logger },
      {
        up: () => this.#sendUnsent(),
        down: (nextAttemptAt) => this.#rejectLost(nextAttemptAt),
        frame: (id, kind, body) => this.#take(id, kind, body),
      },
    );
  }

  /**
   * Calls the handler of a pattern with a JSON payload, and resolves with what it answered; `T` is not checked.
   * Rejects with {@link RpcError} in every other case, at the latest 50 ms after the time-out.
   */
  call<T>(pattern: string, payload: unknown, timeoutMs: number = this.#timeoutMs): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const refusal = this.#refusal(pattern, timeoutMs);
      if (refusal !== undefined) return reject(refusal);
      const id = this.#nextId();
      const frame = this.#encode(id, pattern, payload);
      const startedAt = performance.now();
      const unsent = this.#link.send(frame) ? null : frame;
      const call = { pattern, startedAt, deadline: startedAt + timeoutMs, unsent, resolve: resolve as (value: unknown) => void, reject };
      this.#pending.set(id, call);
      this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_INTERVAL_MS);
      if (unsent !== null) this.#link.open();
    });
  }

  /** Makes the connection, or begins to try, without waiting for a first call. */
  connect(): void {
    this.#link.open();
  }

  /** Whether the peer is connected and authenticated. */
  get isUp(): boolean {
    return this.#link.isUp;
  }

  /** How many calls are under way. */
  get inFlight(): number {
    return this.#pending.size;
  }

  /** Rejects what is under way as `unavailable` and ends the connection. May be called more than once. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  #refusal(pattern: string, timeoutMs: number): RpcError | undefined {
    if (this.#closed !== undefined) return this.#error('unavailable', pattern, true);
    if (this.#pending.size >= this.#maxInFlight || this.#link.backlog > MAX_BACKLOG) return this.#error('overloaded', pattern, true);
    if (this.#link.nextAttemptAt > performance.now() + timeoutMs) return this.#error('unavailable', pattern, true);
    return undefined;
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId + 1) >>> 0;
    while (this.#pending.has(this.#lastId));
    return this.#lastId;
  }

  #encode(id: number, pattern: string, payload: unknown): Buffer {
    try {
      return encodeRequest(id, pattern, payload);
    } catch (cause) {
      throw new RpcError('failed', `The call ${pattern} cannot be put into a frame.`, true, { cause });
    }
  }

  #sendUnsent(): void {
    for (const call of this.#pending.values()) {
      if (call.unsent !== null && this.#link.send(call.unsent)) call.unsent = null;
    }
  }

  /** What was sent is lost; what was not sent waits on, if there is another attempt within its time. */
  #rejectLost(nextAttemptAt: number): void {
    for (const [id, call] of this.#pending) {
      if (call.unsent === null || call.deadline < nextAttemptAt) this.#reject(id, call, 'unavailable');
    }
  }

  #take(id: number, kind: number, body: Buffer): void {
    if (kind === FrameKind.Pong) return;
    if (kind === FrameKind.Goodbye) return this.#link.retire(() => this.#isAnswered());
    const call = this.#pending.get(id);
    if (kind === FrameKind.Answer) return this.#resolve(id, call, body);
    if (kind !== FrameKind.Failure) throw new FrameError('A server sent a frame that only a client sends.');
    const code = toErrorCode(decodeFailure(body));
    if (call !== undefined) this.#reject(id, call, code, code !== 'failed');
  }

  #isAnswered(): boolean {
    return [...this.#pending.values()].every(({ unsent }) => unsent !== null);
  }

  /** An answer that nobody waits for any more is dropped: its call has timed out. */
  #resolve(id: number, call: PendingCall | undefined, body: Buffer): void {
    if (call === undefined) return;
    const value = decodeAnswer(body);
    this.#pending.delete(id);
    call.resolve(value);
  }

  /** A call that was not sent is not carried out; one that was sent may be, unless the peer refused it. */
  #reject(id: number, call: PendingCall, code: RpcErrorCode, isRefused = false): void {
    this.#pending.delete(id);
    call.reject(this.#error(code, call.pattern, isRefused || call.unsent !== null));
  }

  #sweep(): void {
    const now = performance.now();
    for (const [id, call] of this.#pending) {
      if (call.deadline > now) continue;
      this.#reject(id, call, call.unsent === null ? 'timeout' : 'unavailable');
      if (call.unsent === null) this.#link.doubt(call.startedAt);
    }
    if (this.#pending.size === 0) this.#stopSweeping();
  }

  #stopSweeping(): void {
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  #close(): Promise<void> {
    this.#stopSweeping();
    for (const [id, call] of this.#pending) this.#reject(id, call, 'unavailable');
    return this.#link.close();
  }

  #error(code: RpcErrorCode, pattern: string, isNotCarriedOut: boolean): RpcError {
    return new RpcError(code, `${this.#peer}, ${pattern}: ${SENTENCES[code]}`, isNotCarriedOut);
  }
}

const SENTENCES: Record<RpcErrorCode, string> = {
  unavailable: 'there is no connection, or it was lost.',
  timeout: 'there was no answer in time.',
  overloaded: 'too many calls are under way.',
  failed: 'the peer could not carry out the call.',
};

function toErrorCode(code: FailureCode): RpcErrorCode {
  if (code === FailureCode.Overloaded) return 'overloaded';
  if (code === FailureCode.Unavailable) return 'unavailable';
  return 'failed';
}

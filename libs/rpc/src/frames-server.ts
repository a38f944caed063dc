import { setTimeout as sleep } from 'node:timers/promises';
import { createServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import type { AddressInfo, Socket } from 'node:net';
import { createLogger, StartupError, type Tracer } from '@kms/platform';
import { BaseRpcContext, Server, type CustomTransportStrategy, type MessageHandler } from '@nestjs/microservices';
import { firstValueFrom, isObservable } from 'rxjs';
import type { RpcLogger } from './logger.ts';
import { isAuthenticationError, serverTlsOptions } from './peer-authentication.ts';
import { ServerConnection, type OnCall } from './server-connection.ts';

export interface FramesServerOptions {
  host: string;
  /** 0 lets the system choose; {@link FramesServer.port} tells which. */
  port: number;
  /** At least 32 characters, the same at both ends. */
  secret: string;
  /** How many calls of one connection may be under way; one more is answered `overloaded`. 4,096 by default. */
  maxInFlight?: number;
  /** By default a logger of its own on standard error. */
  logger?: RpcLogger;
  /** Must be cheap and must not throw. */
  onCall?: OnCall;
  /** Makes each call a span, under the one that the payload's member `traceparent` names. */
  tracer?: Tracer;
}

const DEFAULT_MAX_IN_FLIGHT = 4_096;
const MAX_CONNECTIONS = 256;
const HANDSHAKE_TIMEOUT_MS = 5_000;
const KEEP_ALIVE_DELAY_MS = 10_000;
/** How long a close waits for the calls under way, and then for the peers to take their answers, in milliseconds. */
const CLOSE_GRACE_MS = 1_000;
const CLOSE_FLUSH_MS = 500;

/**
 * The serving end of the hop, as a transport of `@nestjs/microservices`: `createMicroservice(Module, { strategy: new FramesServer(…) })`.
 * It serves calls (`@MessagePattern('a.string')`) and no events. A handler answers a value, a promise or an observable, whose first value is
 * taken; it gets the payload and one {@link BaseRpcContext} that all calls share. It also works without Nest: {@link addHandler}, then
 * {@link listen}.
 *
 * A caller learns of a handler that throws only that it failed; the error itself goes to the log. How long a handler may take is the
 * handler's own business: its place among the calls under way is free only when it is done.
 */
export class FramesServer extends Server implements CustomTransportStrategy {
  readonly #options: FramesServerOptions;
  readonly #log: RpcLogger;
  readonly #tlsServer: TlsServer;
  readonly #sockets = new Set<Socket>();
  readonly #connections = new Set<ServerConnection>();
  readonly #context = new BaseRpcContext([]);
  #closed: Promise<void> | undefined;

  /** Throws RangeError on a secret that is too short. */
  constructor(options: FramesServerOptions) {
    super();
    this.#options = options;
    this.#log = options.logger ?? createLogger('rpc');
    this.#tlsServer = createServer({ ...serverTlsOptions(options.secret), handshakeTimeout: HANDSHAKE_TIMEOUT_MS });
    this.#tlsServer.maxConnections = MAX_CONNECTIONS;
    this.#tlsServer.on('connection', (socket) => this.#track(socket));
    this.#tlsServer.on('secureConnection', (socket) => this.#accept(socket));
    this.#tlsServer.on('tlsClientError', (error) => this.#reportRefusal(error));
    this.#tlsServer.on('drop', () => this.#log.warn({ limit: MAX_CONNECTIONS }, 'A connection was refused: there are too many.'));
  }

  /** The port that it listens on; throws before it listens. */
  get port(): number {
    const address = this.#tlsServer.address() as AddressInfo | null;
    if (address === null) throw new Error('The server does not listen.');
    return address.port;
  }

  /** Calls back without an argument once it listens, or with a {@link StartupError} where it cannot. */
  listen(callback: (error?: Error) => unknown): void {
    const { host, port } = this.#options;
    const fail = (error: NodeJS.ErrnoException) => callback(listenError(error, host, port));
    this.#tlsServer.once('error', fail);
    this.#tlsServer.listen(port, host, () => {
      this.#tlsServer.off('error', fail);
      this.#tlsServer.on('error', (error: NodeJS.ErrnoException) =>
        this.#log.error({ code: error.code }, 'The server of the hop has trouble.'),
      );
      callback();
    });
  }

  /**
   * Takes no connection and no call any more, says goodbye to its clients, lets the calls under way finish for up to a second, sends their
   * answers and ends the connections. Resolves when no socket is left. May be called more than once.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** Listens to an event of the underlying `tls.Server`. */
  // eslint-disable-next-line @typescript-eslint/no-unsafe-function-type -- the base class's own type
  override on<EventKey extends string, EventCallback extends Function>(event: EventKey, callback: EventCallback): void {
    this.#tlsServer.on(event, callback as unknown as (...values: unknown[]) => void);
  }

  /** The underlying `tls.Server`. */
  override unwrap<T>(): T {
    return this.#tlsServer as T;
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #accept(socket: TLSSocket): void {
    if (this.#closed !== undefined) {
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS);
    const maxInFlight = this.#options.maxInFlight ?? DEFAULT_MAX_IN_FLIGHT;
    const connection = new ServerConnection(
      socket,
      (pattern) => this.#findHandler(pattern),
      maxInFlight,
      this.#log,
      this.#options.onCall ?? (() => undefined),
    );
    this.#connections.add(connection);
    socket.once('close', () => this.#connections.delete(connection));
  }

  #findHandler(pattern: string): ((payload: unknown) => Promise<unknown>) | undefined {
    const handler = this.messageHandlers.get(pattern);
    if (handler === undefined) return undefined;
    const { tracer } = this.#options;
    const carryOut = (payload: unknown) => this.#carryOut(handler, payload);
    return tracer?.isOn ? (payload) => traced(tracer, pattern, payload, carryOut) : carryOut;
  }

  /** An observable comes only where an interceptor or an exception filter stands in the way, so rxjs stays off the usual path. */
  async #carryOut(handler: MessageHandler, payload: unknown): Promise<unknown> {
    const result: unknown = await handler(payload, this.#context);
    return isObservable(result) ? firstValueFrom(result, { defaultValue: undefined }) : result;
  }

  #reportRefusal(error: NodeJS.ErrnoException): void {
    const sentence = isAuthenticationError(error)
      ? 'A connection was refused: the peer did not prove that it knows RPC_SECRET.'
      : 'A connection ended before the peer had proved that it knows RPC_SECRET.';
    this.#log.warn({ code: error.code }, sentence);
  }

  async #close(): Promise<void> {
    if (!this.#tlsServer.listening) return;
    const socketsGone = new Promise<void>((resolve) => this.#tlsServer.close(() => resolve()));
    const connections = [...this.#connections];
    await within(CLOSE_GRACE_MS, Promise.all(connections.map((connection) => connection.finish())));
    for (const connection of connections) connection.end();
    await within(CLOSE_FLUSH_MS, socketsGone);
    for (const socket of this.#sockets) socket.destroy();
    await socketsGone;
  }
}

/** Carries out a call as a span, where its caller has one. */
async function traced(tracer: Tracer, pattern: string, payload: unknown, carryOut: (payload: unknown) => Promise<unknown>) {
  const { traceparent } = (payload ?? {}) as { traceparent?: unknown };
  if (traceparent === undefined) return carryOut(payload);
  const span = tracer.start('rpc handler', traceparent, { 'rpc.method': pattern });
  try {
    const answer = await tracer.within(span, () => carryOut(payload));
    span.end();
    return answer;
  } catch (error) {
    span.end(error);
    throw error;
  }
}

/** Waits for the work, but not longer than that. */
async function within(milliseconds: number, work: Promise<unknown>): Promise<void> {
  const timer = new AbortController();
  const expired = sleep(milliseconds, undefined, { signal: timer.signal }).catch(() => undefined);
  await Promise.race([work, expired]);
  timer.abort();
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): StartupError {
  if (error.code === 'EADDRINUSE') return new StartupError(`Port ${port} on ${host} is in use.`, { cause: error });
  return new StartupError(`The server cannot listen on port ${port} of ${host}: ${error.code}.`, { cause: error });
}

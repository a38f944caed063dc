import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { StatementTracker, WireReader, type WireMessage } from './postgres-messages.ts';

/**
 * Where a statement is caught: before the server gets it, while the server carries it out, or after that, with the answer not yet
 * handed on.
 */
export type Moment = 'before' | 'during' | 'after';

/** A connection that stands still around a statement. */
export interface CaughtStatement {
  /** Lets it go on as if nothing had been. */
  release(): void;
  /** Ends the connection, on both sides at once. */
  cut(): void;
}

interface Trap {
  pattern: RegExp;
  moment: Moment;
  caught: (statement: CaughtStatement) => void;
}

/** A server between clients and a real PostgreSQL, that hands everything on until it is told to be a bad network. */
export class PostgresProxy {
  readonly #target: { host: string; port: number };
  readonly #server: Server;
  readonly #connections = new Set<ProxiedConnection>();
  #trap: Trap | null = null;
  #isAway = false;

  private constructor(target: URL) {
    this.#target = { host: target.hostname, port: Number(target.port) };
    this.#server = createServer((client) => this.#accept(client));
  }

  /** Listens in front of the server that a connection string names. */
  static async before(url: string): Promise<PostgresProxy> {
    const proxy = new PostgresProxy(new URL(url));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** The same connection string, by way of this proxy. */
  through(url: string): string {
    const target = new URL(url);
    target.host = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return target.href;
  }

  /** Catches the next statement whose text matches, on whichever connection it comes. One trap at a time. */
  catchNext(pattern: RegExp, moment: Moment): Promise<CaughtStatement> {
    return new Promise((caught) => (this.#trap = { pattern, moment, caught }));
  }

  /** While away, no connection is taken; those that are there are ended. */
  setAway(isAway: boolean): void {
    this.#isAway = isAway;
    if (isAway) for (const connection of this.#connections) connection.cut();
  }

  async stop(): Promise<void> {
    this.setAway(true);
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(client: Socket): void {
    if (this.#isAway) return void client.destroy();
    const connection = new ProxiedConnection(client, connect(this.#target), (statement) => this.#springTrap(statement));
    this.#connections.add(connection);
    client.once('close', () => this.#connections.delete(connection));
  }

  #springTrap(statement: string): Trap | null {
    if (this.#trap?.pattern.test(statement) !== true) return null;
    const trap = this.#trap;
    this.#trap = null;
    return trap;
  }
}

class ProxiedConnection {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #tracker = new StatementTracker();
  readonly #springTrap: (statement: string) => Trap | null;
  /** The trap that a statement on its way has sprung. */
  #sprung: Trap | null = null;
  /** What stands still, and where it goes when it is released. */
  #held: { towards: Socket; messages: WireMessage[] } | null = null;

  constructor(client: Socket, server: Socket, springTrap: (statement: string) => Trap | null) {
    this.#client = client;
    this.#server = server;
    this.#springTrap = springTrap;
    // Messages go on one by one: without this each would wait for the acknowledgement of the one before.
    for (const socket of [client, server]) socket.setNoDelay(true);
    const fromClient = new WireReader({ hasStartup: true });
    const fromServer = new WireReader({ hasStartup: false });
    client.on('data', (chunk: Buffer) => fromClient.push(chunk).forEach((message) => this.#ask(message)));
    server.on('data', (chunk: Buffer) => fromServer.push(chunk).forEach((message) => this.#answer(message)));
    // When one side ends, so does the other, after what was still on its way. A broken connection is what this is for, and no error.
    client.on('error', () => server.destroySoon()).on('close', () => server.destroySoon());
    server.on('error', () => client.destroySoon()).on('close', () => client.destroySoon());
  }

  cut(): void {
    this.#client.destroy();
    this.#server.destroy();
  }

  #ask(message: WireMessage): void {
    const statement = this.#tracker.executedBy(message);
    if (statement !== null) this.#sprung ??= this.#springTrap(statement);
    if (this.#sprung?.moment === 'before') this.#hold(this.#server);
    if (this.#sprung?.moment === 'after') this.#held ??= { towards: this.#client, messages: [] };
    this.#pass(this.#server, message);
    // The server carries a query out when it comes, and a prepared one when the Sync after it comes.
    if (this.#sprung?.moment === 'during' && (message.type === 'Q' || message.type === 'S')) this.#hold(this.#client);
  }

  #answer(message: WireMessage): void {
    this.#pass(this.#client, message);
    if (this.#sprung?.moment === 'after' && message.type === 'Z') this.#hold(this.#client);
  }

  /** Stands still from here on, and tells who set the trap. */
  #hold(towards: Socket): void {
    const trap = this.#sprung;
    this.#sprung = null;
    this.#held ??= { towards, messages: [] };
    trap?.caught({ release: () => this.#release(), cut: () => this.cut() });
  }

  #release(): void {
    const held = this.#held;
    this.#held = null;
    for (const { bytes } of held?.messages ?? []) held?.towards.write(bytes);
  }

  #pass(towards: Socket, message: WireMessage): void {
    if (this.#held?.towards === towards) this.#held.messages.push(message);
    else towards.write(message.bytes);
  }
}

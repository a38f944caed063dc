import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { createLogger, inSpan, type Tracer } from '@kms/platform';
import { RpcClient, type RpcClientOptions } from './rpc-client.ts';
import { RpcError } from './rpc-error.ts';

export interface BalancedClientOptions extends Omit<RpcClientOptions, 'host' | 'port'> {
  /** At least one. A name stands for all of its addresses, which are looked up again every few seconds. */
  endpoints: readonly { host: string; port: number }[];
  /** The addresses of a name; the system's resolver unless given. */
  resolve?: (host: string) => Promise<readonly string[]>;
  /** How often names are looked up, in milliseconds. 5,000 by default. */
  resolveEveryMs?: number;
  /** Makes each call of traced work a span, whose place goes with the payload as its member `traceparent`. */
  tracer?: Tracer;
}

const RESOLVE_EVERY_MS = 5_000;

/**
 * The calling end of the hop to a service that runs any number of times: a connection to each instance, and each call goes to the connected
 * one with the fewest calls under way, so that one that hangs or is slow gets few. A call that an instance surely did not carry out is made
 * once more at each other one; any other failure is the caller's to judge.
 */
export class BalancedClient {
  readonly #options: BalancedClientOptions;
  readonly #clients = new Map<string, RpcClient>();
  /** Instances that are gone from the names' addresses, until their last call is answered. */
  readonly #leaving = new Set<RpcClient>();
  #instances: readonly RpcClient[] = [];
  #turn = 0;
  #resolving: Promise<void>;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** Throws RangeError on a secret that is too short. */
  constructor(options: BalancedClientOptions) {
    this.#options = { logger: createLogger('rpc'), ...options };
    for (const { host, port } of options.endpoints) if (isIP(host) !== 0) this.#open(host, port);
    const names = options.endpoints.filter(({ host }) => isIP(host) === 0);
    this.#resolving = names.length === 0 ? Promise.resolve() : this.#follow(names);
  }

  /** As {@link RpcClient.call}; the time-out is for all attempts together. */
  call<T>(pattern: string, payload: unknown, timeoutMs?: number): Promise<T> {
    const { tracer } = this.#options;
    if (!tracer?.isOn || tracer.active === undefined) return this.#call<T>(pattern, payload, timeoutMs);
    return inSpan(tracer, 'rpc call', { 'rpc.method': pattern }, ({ traceparent }) =>
      this.#call<T>(pattern, { ...(payload as object), traceparent }, timeoutMs),
    );
  }

  async #call<T>(pattern: string, payload: unknown, timeoutMs?: number): Promise<T> {
    if (this.#instances.length === 0) await this.#resolving;
    const deadline = timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
    const tried: RpcClient[] = [];
    for (;;) {
      const client = this.#pick(tried);
      if (client === undefined) throw new RpcError('unavailable', `${pattern}: no address of the peer is known.`, true);
      try {
        return await client.call<T>(pattern, payload, deadline && deadline - performance.now());
      } catch (error) {
        tried.push(client);
        if (!(error instanceof RpcError && error.isNotCarriedOut) || tried.length >= this.#instances.length) throw error;
      }
    }
  }

  /** Whether an instance is connected. */
  get isUp(): boolean {
    return this.#instances.some(({ isUp }) => isUp);
  }

  /** Rejects what is under way as `unavailable` and ends the connections. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#resolving;
    await Promise.all([...this.#instances, ...this.#leaving].map((client) => client.close()));
  }

  /** The connected instance with the fewest calls under way; among equals they take turns, so that none is left out. */
  #pick(tried: readonly RpcClient[]): RpcClient | undefined {
    let best: RpcClient | undefined;
    const count = this.#instances.length;
    this.#turn = (this.#turn + 1) % Math.max(1, count);
    for (let step = 0; step < count; step += 1) {
      const client = this.#instances[(this.#turn + step) % count] as RpcClient;
      if (tried.includes(client)) continue;
      if (best === undefined || (client.isUp === best.isUp ? client.inFlight < best.inFlight : client.isUp)) best = client;
    }
    return best;
  }

  async #follow(names: readonly { host: string; port: number }[]): Promise<void> {
    await this.#resolve(names);
    if (this.#closed) return;
    this.#timer = setInterval(() => (this.#resolving = this.#resolve(names)), this.#options.resolveEveryMs ?? RESOLVE_EVERY_MS);
    this.#timer.unref();
  }

  /** Where a name cannot be looked up, what is known of it stays. */
  async #resolve(names: readonly { host: string; port: number }[]): Promise<void> {
    const { resolve = systemLookup, logger } = this.#options;
    for (const { host, port } of names) {
      try {
        const addresses = await resolve(host);
        if (this.#closed) return;
        this.#take(host, port, addresses);
      } catch (error) {
        logger?.warn({ host, code: (error as NodeJS.ErrnoException).code }, 'The addresses of a peer cannot be looked up.');
      }
    }
  }

  #take(host: string, port: number, addresses: readonly string[]): void {
    const known = [...this.#clients.keys()].filter((key) => key.startsWith(`${host} ${port} `));
    const wanted = addresses.map((address) => `${host} ${port} ${address}`);
    for (const key of known.filter((candidate) => !wanted.includes(candidate))) this.#leave(key);
    for (const address of addresses) this.#open(address, port, host);
    for (const client of this.#leaving) if (client.inFlight === 0) this.#end(client);
  }

  #open(address: string, port: number, host = address): void {
    const key = `${host} ${port} ${address}`;
    if (this.#clients.has(key)) return;
    const client = new RpcClient({ ...this.#options, host: address, port });
    this.#clients.set(key, client);
    this.#instances = [...this.#clients.values()];
    client.connect();
  }

  #leave(key: string): void {
    this.#leaving.add(this.#clients.get(key) as RpcClient);
    this.#clients.delete(key);
    this.#instances = [...this.#clients.values()];
  }

  #end(client: RpcClient): void {
    this.#leaving.delete(client);
    void client.close();
  }
}

async function systemLookup(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

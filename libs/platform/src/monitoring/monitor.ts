import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';
import { Port } from '../configuration.ts';
import { StartupError } from '../startup-error.ts';
import { NO_TRACER, type Tracer } from '../tracing/tracer.ts';
import { Health } from './health.ts';
import { Metrics } from './metrics.ts';

/** The members of a service's configuration that say where it is watched. */
export const MONITOR_VARIABLES = {
  METRICS_HOST: z.string().default('127.0.0.1'),
  /** 0, the default, lets the system choose: the service says in its log which port it is. */
  METRICS_PORT: Port.default(0),
};

const REQUEST_TIMEOUT_MS = 5_000;
const MAX_CONNECTIONS = 64;

/**
 * A process as it is seen by those who watch it, over plain HTTP on a port of its own: `/metrics` for Prometheus, `/health/live` (200 while
 * it makes progress) and `/health/ready` (200 while it can serve); else 503 with the names of what is wrong. Whoever reaches the port needs
 * no key and learns nothing that is secret: it belongs on a network of the operator's.
 */
export class Monitor {
  readonly metrics = new Metrics();
  readonly health = new Health();
  /** Follows requests through the services, where a collector is configured. */
  tracer: Tracer = NO_TRACER;
  #server: Server | undefined;

  /** Listens. Throws {@link StartupError} where it cannot. */
  async listen({ METRICS_HOST: host, METRICS_PORT: port }: { METRICS_HOST: string; METRICS_PORT: number }): Promise<void> {
    this.metrics.collectProcess();
    const server = createServer(
      { requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: REQUEST_TIMEOUT_MS },
      ({ method, url }, response) => {
        void this.#answer(method, url, response);
      },
    );
    server.maxConnections = MAX_CONNECTIONS;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
      server.listen(port, host, resolve);
    });
    this.#server = server;
  }

  /** The port that it listens on, or null where it does not. */
  get port(): number | null {
    return (this.#server?.address() as AddressInfo | null | undefined)?.port ?? null;
  }

  /** Closes the port, also for those who keep a connection open. */
  async close(): Promise<void> {
    this.health.ending();
    const server = this.#server;
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async #answer(method: string | undefined, url: string | undefined, response: ServerResponse): Promise<void> {
    if (method !== 'GET' && method !== 'HEAD') return send(response, 405, { error: 'Only GET and HEAD are answered here' });
    if (url === '/health/live') return sendHealth(response, this.health.stalled());
    if (url === '/health/ready') return sendHealth(response, await this.health.missing());
    if (url !== '/metrics') return send(response, 404, { error: 'Not found' });
    response.setHeader('content-type', this.metrics.contentType);
    response.end(await this.metrics.write());
  }
}

function sendHealth(response: ServerResponse, wrong: readonly string[]): void {
  if (wrong.length === 0) send(response, 200, { status: 'ok' });
  else send(response, 503, { status: 'failing', failing: wrong });
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

function listenError({ code }: NodeJS.ErrnoException, host: string, port: number): StartupError {
  if (code === 'EADDRINUSE') return new StartupError(`The port ${port} on ${host}, which METRICS_PORT names, is in use.`);
  return new StartupError(`METRICS_PORT ${port} on METRICS_HOST ${host} cannot be listened on: ${code}.`);
}

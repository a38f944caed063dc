import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { API_VERSION, ApiAccessPermission, isHandler, type Handler } from '@kms/contracts';
import type { Logger, Metrics } from '@kms/platform';
import { describeError } from '../answer-errors.ts';
import type { Gate } from '../authenticate/gate.ts';
import { requestIdOf } from '../authenticate/request-context.ts';
import { routeTimer, type RouteTimer } from '../time-requests.ts';
import { RECEIPT_HEADER, REVEAL_ROUTE } from './reveal-route.ts';
import type { RevealSecret } from './reveal-secret.ts';

const PREFIX = `/${API_VERSION}/kms/reveal/`;
const SUFFIX = '.json';

export interface RevealLaneDependencies {
  gate: Gate;
  reveals: RevealSecret;
  logger: Logger;
  metrics: Metrics;
}

/**
 * The hot path: reveals of a current version are taken from the HTTP server before Fastify sees them, since its routing, hooks and replies
 * cost more than all that a reveal does in this process. The gate, the use case and the errors are the same, and so is every answer; what is
 * not exactly such a request (a query, an odd handler, another method) goes the ordinary way.
 *
 * Answers what closes the lane: from then on every request is Fastify's, which knows how to end connections.
 */
export function openRevealLane(server: Server, dependencies: RevealLaneDependencies): () => Promise<void> {
  const ordinary = server.listeners('request') as RequestListener[];
  const timed = routeTimer(dependencies.metrics, 'GET', REVEAL_ROUTE);
  let isOpen = true;
  server.removeAllListeners('request').on('request', (request: IncomingMessage, response: ServerResponse) => {
    const handler = isOpen ? handlerOf(request) : null;
    if (handler !== null) return void answer(dependencies, timed, request, response, handler);
    for (const listener of ordinary) listener.call(server, request, response as Parameters<RequestListener>[1]);
  });
  return async () => {
    isOpen = false;
  };
}

/** The handler that a request reveals in the plainest form, else null. */
function handlerOf({ method, url = '' }: IncomingMessage): Handler | null {
  if (method !== 'GET' || !url.startsWith(PREFIX) || !url.endsWith(SUFFIX)) return null;
  const handler = url.slice(PREFIX.length, -SUFFIX.length);
  return isHandler(handler) ? handler : null;
}

/** Never rejects: whatever goes wrong is an answer. */
async function answer(
  { gate, reveals, logger }: RevealLaneDependencies,
  timed: RouteTimer,
  request: IncomingMessage,
  response: ServerResponse,
  handler: Handler,
): Promise<void> {
  const receivedAt = performance.now();
  const requestId = requestIdOf(request);
  try {
    const { principal, facts, address } = await gate.admit(request, requestId, ApiAccessPermission.KMS_READ);
    const { body, receipt } = await reveals.reveal({ receivedAt, principal, facts, address, handler, version: null });
    send(response, 200, requestId, body, [RECEIPT_HEADER, receipt]);
    timed(200, receivedAt);
  } catch (error) {
    const { status, message } = describeError(error, requestId, logger);
    send(response, status, requestId, { error: message });
    timed(status, receivedAt);
  }
}

/**
 * Head and body as one text in one write: `end(text)` would write them and an empty rest as two, which costs the system half as much again.
 * Where the client has gone, nothing is left to do.
 */
function send(response: ServerResponse, status: number, requestId: string, body: object, more: readonly string[] = []): void {
  const text = JSON.stringify(body);
  const head = ['x-request-id', requestId, 'cache-control', 'no-store', 'content-type', 'application/json; charset=utf-8'];
  const { socket } = response;
  socket?.cork();
  response.writeHead(status, [...head, 'content-length', String(Buffer.byteLength(text)), ...more]).write(text);
  socket?.uncork();
  response.end();
}

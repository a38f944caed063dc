import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { StartupError, type Logger } from '@kms/platform';
import type { Witness } from './add-checkpoint.ts';

/** Longest request, in bytes: 63 hashes and a checkpoint with more signatures than a log has. */
const MAX_BODY_BYTES = 64 * 1024;
/** Longest time for a request to arrive, in milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000;
/** How long a connection is kept open for the next request, in milliseconds: longer than a log that is in use waits. */
const KEEP_ALIVE_MS = 60_000;
const MAX_CONNECTIONS = 256;
const PATH = '/add-checkpoint';

export interface ServerSettings {
  host: string;
  /** 0 for a free one. */
  port: number;
  witness: Pick<Witness, 'addCheckpoint'>;
  logger: Logger;
}

export interface RunningServer {
  readonly port: number;
  /** Takes nothing more, and answers what is under way. */
  stop(): Promise<void>;
}

/** Serves `POST /add-checkpoint`. Throws StartupError where it cannot listen. */
export async function startServer({ host, port, witness, logger }: ServerSettings): Promise<RunningServer> {
  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_MS, maxHeaderSize: 8 * 1024 },
    (request, response) => {
      serve(witness, request, response).catch((error: unknown) => {
        logger.error({ err: error }, 'A request failed.');
        if (!response.headersSent) reply(response, 500, 'The witness cannot answer.\n');
        else response.destroy();
      });
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, host, port);
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

async function serve(witness: ServerSettings['witness'], request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url !== PATH) return reply(response, 404, 'There is nothing here.\n');
  if (request.method !== 'POST') return reply(response.setHeader('allow', 'POST'), 405, 'It must be a POST.\n');
  const body = await readBody(request);
  if (body === null) return reply(response.setHeader('connection', 'close'), 413, 'The request is too large.\n');
  const answer = await witness.addCheckpoint(body);
  reply(response.setHeader('content-type', answer.contentType), answer.status, answer.body);
}

/** Null where it is too large; what follows is not read. */
async function readBody(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  // The end of the iteration must not end the connection: an answer is still to go out on it.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function reply(response: ServerResponse, status: number, body: string | Uint8Array): void {
  if (!response.hasHeader('content-type')) response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.writeHead(status, { 'cache-control': 'no-store', 'content-length': Buffer.byteLength(body) }).end(body);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(new StartupError(`The witness cannot listen on ${host}:${port}: ${cause.code}.`, { cause })),
    );
    server.listen(port, host, resolve);
  });
}

import 'reflect-metadata';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from '@jest/globals';
import { createLogger, Metrics } from '@kms/platform';
import type { RouteOptions } from 'fastify';
import { Recorder } from './audit/recorder.ts';
import type { GateDependencies } from './authenticate/gate.ts';
import { formatApiKey, SECRET_BYTES } from './domain/api-key.ts';
import { createApp, gatewayModule } from './gateway.module.ts';
import { PolicyCache } from './kms/policy-cache.ts';
import { RevealSecret } from './kms/reveal-secret.ts';

const unreachable = () => Promise.reject(new Error('nothing may get this far'));
const peer = { call: unreachable };
const journal = { append: unreachable };
const nextId = () => '0'.repeat(24);

async function gateway(dependencies: Partial<GateDependencies> = {}) {
  const logger = createLogger('test');
  logger.level = 'silent';
  const reveals = new RevealSecret({ vault: peer, policies: new PolicyCache(peer), journal, nextId });
  const module = gatewayModule({ reveals, recorder: new Recorder(journal, nextId), ledger: peer });
  const app = await createApp(module, reveals, logger, new Metrics(), {
    keys: { find: () => Promise.resolve(null) },
    journal: { append: (place) => Promise.resolve({ writer: place.name, sequence: 1, hash: Buffer.alloc(32) }) },
    pepper: 'pepper',
    isTrustedProxy: () => false,
    operatorOrganizationId: nextId(),
    nextId,
    ...dependencies,
  });
  const routes: RouteOptions[] = [];
  app
    .getHttpAdapter()
    .getInstance()
    .addHook('onRoute', (route) => void routes.push(route));
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
  return { app, routes };
}

describe('the gateway’s routes', () => {
  it('are these, each with its permission', async () => {
    const { app, routes } = await gateway();
    expect(routes.map(({ method, url, config }) => `${String(method)} ${url} ${String(config?.permission)}`).sort()).toEqual([
      'DELETE /2026-02-01/kms/:handler.json kms:write',
      'GET /2026-02-01/audit.json audit:read',
      'GET /2026-02-01/audit/checkpoint audit:read',
      'GET /2026-02-01/audit/completeness.json audit:read',
      'GET /2026-02-01/audit/consistency.json audit:read',
      'GET /2026-02-01/audit/entries/* audit:read',
      'GET /2026-02-01/audit/keys.json audit:read',
      'GET /2026-02-01/audit/proof/:recordId.json audit:read',
      'GET /2026-02-01/audit/tile/* audit:read',
      'GET /2026-02-01/connection.json connection:read',
      'GET /2026-02-01/kms.json kms:read',
      'GET /2026-02-01/kms/:handler.json kms:read',
      'GET /2026-02-01/kms/reveal/:handler.json kms:read',
      'GET /2026-02-01/ping.json ping:read',
      'PATCH /2026-02-01/kms/:handler.json kms:write',
      'POST /2026-02-01/kms.json kms:write',
      'POST /2026-02-01/kms/:handler/versions.json kms:write',
    ]);
    await app.close();
  });

  it('let nobody in without a key', async () => {
    const { app, routes } = await gateway();
    for (const { method, url } of routes) {
      const answer = await app.inject({ method: method as 'GET', url: url.replace(':handler', 'secret') });
      expect([url, answer.statusCode, answer.json()]).toEqual([url, 401, { error: 'Invalid token' }]);
    }
    await app.close();
  });
});

describe('the gateway', () => {
  const PATHS = ['/2026-02-01/ping.json', '/2026-02-01/kms/reveal/secret.json'];
  const until = async (holds: () => boolean) => {
    while (!holds()) await new Promise(setImmediate);
  };
  const asked = (path: string) => `GET ${path} HTTP/1.1\r\nHost: gateway\r\n\r\n`;

  it('answers what comes while it ends as it ever does, and says that the connection ends', async () => {
    let begin: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (begin = resolve));
    const append = async () => {
      await held;
      return { writer: nextId(), sequence: 1, hash: Buffer.alloc(32) };
    };
    const { app } = await gateway({ journal: { append } });
    const server = app.getHttpServer() as Server;
    let arrived = 0;
    server.on('request', () => (arrived += 1));
    await app.listen(0, '127.0.0.1');
    const { port } = new URL(await app.getUrl());
    const sockets = PATHS.map(() => connect(Number(port), '127.0.0.1'));
    const answers = sockets.map((socket) => text(socket));
    sockets.forEach((socket, index) => socket.write(asked(PATHS[index] as string)));
    await until(() => arrived === sockets.length);
    const ended = app.close();
    await until(() => !server.listening);
    sockets.forEach((socket, index) => socket.write(asked(PATHS[index] as string)));
    await until(() => arrived === 2 * sockets.length);
    begin();
    for (const answer of answers) {
      const [first = '', second = ''] = (await answer).split(/(?<=\})(?=HTTP)/);
      for (const one of [first, second]) {
        expect(one).toMatch(/^HTTP\/1\.1 401 /);
        expect(one.split('\r\n\r\n')[1]).toBe('{"error":"Invalid token"}');
      }
      expect(second.toLowerCase()).toContain('\r\nconnection: close\r\n');
    }
    await ended;
  });

  it('says that audit is unavailable where it cannot know whose key it is: nothing can be recorded of it', async () => {
    const { app } = await gateway({ keys: { find: () => Promise.reject(new Error('the database is away')) } });
    const token = formatApiKey('production', nextId(), Buffer.alloc(SECRET_BYTES));
    for (const url of PATHS) {
      const answer = await app.inject({ method: 'GET', url, headers: { authorization: `Bearer ${token}` } });
      expect([answer.statusCode, answer.body]).toEqual([503, '{"error":"Audit is unavailable"}']);
    }
    await app.close();
  });
});

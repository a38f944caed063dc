import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { createLogger, Metrics } from '@kms/platform';
import type { RouteOptions } from 'fastify';
import { Recorder } from './audit/recorder.ts';
import { createApp, gatewayModule } from './gateway.module.ts';
import { PolicyCache } from './kms/policy-cache.ts';
import { RevealSecret } from './kms/reveal-secret.ts';

const unreachable = () => Promise.reject(new Error('nothing may get this far'));
const peer = { call: unreachable };
const journal = { append: unreachable };
const nextId = () => '0'.repeat(24);

async function gateway() {
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

import { describe, expect, it } from '@jest/globals';
import { ApiAccessPermission } from '@kms/contracts';
import fastify from 'fastify';
import { Gate } from './gate.ts';
import { guardRoutes } from './guard-routes.ts';

function server() {
  const app = fastify();
  const gate = new Gate({
    keys: { find: () => Promise.resolve(null) },
    journal: { append: () => Promise.reject(new Error('the journal is away')) },
    pepper: 'pepper',
    isTrustedProxy: () => false,
    operatorOrganizationId: '0'.repeat(24),
    nextId: () => '0'.repeat(24),
  });
  guardRoutes(app, gate);
  return app;
}

describe('a guarded server', () => {
  it('does not take a route that declares no permission, or one that does not exist', () => {
    expect(() => server().get('/open', () => 'open')).toThrow(/declares no permission/);
    const permission = 'kms:everything' as ApiAccessPermission;
    expect(() => server().get('/odd', { config: { permission } }, () => 'odd')).toThrow(/declares no permission/);
  });

  it('answers nobody whose refusal cannot be recorded, and never reaches the route', async () => {
    const app = server();
    let reached = false;
    app.get('/secret', { config: { permission: ApiAccessPermission.KMS_READ } }, () => (reached = true));
    app.setErrorHandler((error, _request, reply) => reply.status((error as { status?: number }).status ?? 500).send({}));
    expect((await app.inject({ url: '/secret' })).statusCode).toBe(503);
    expect(reached).toBe(false);
  });
});

import { ALL_PERMISSIONS, type ApiAccessPermission } from '@kms/contracts';
import { StartupError } from '@kms/platform';
import type { FastifyInstance, RouteOptions } from 'fastify';
import type { Gate } from './gate.ts';

/**
 * Puts a gate before every route of a server, before a body is read: a request needs a key with the permission that its route declares. It
 * is a Fastify hook and not a Nest guard, because a guard comes after the body and costs more. Default deny: a route that declares no
 * permission, or one that does not exist, keeps the server from starting.
 */
export function guardRoutes(server: FastifyInstance, gate: Gate): void {
  server.decorateRequest('kms', null);
  server.addHook('onRoute', requirePermission);
  server.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id).header('cache-control', 'no-store');
    if (request.is404) return;
    request.kms = await gate.admit(request.raw, request.id, request.routeOptions.config.permission as ApiAccessPermission);
  });
}

function requirePermission({ method, url, config }: RouteOptions): void {
  const permission = config?.permission;
  if (permission !== undefined && ALL_PERMISSIONS.includes(permission)) return;
  throw new StartupError(`The route ${String(method)} ${url} declares no permission that exists: nobody could be let in.`);
}

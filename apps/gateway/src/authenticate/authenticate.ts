import type { Address } from '@kms/access';
import { ALL_PERMISSIONS, type ApiAccessPermission, type Id } from '@kms/contracts';
import type { Journal, PlaceEvent } from '@kms/journal';
import { StartupError } from '@kms/platform';
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify';
import type { AuthenticationFailure, Principal } from '../domain/api-key.ts';
import { byPrincipal, gatewayEvent, type RequestFacts } from '../domain/audit-event.ts';
import { auditUnavailable, forbidden, invalidToken, unavailable } from '../domain/http-error.ts';
import { within } from '../within.ts';
import { ApiKeyVerifier, type StoredKeys } from './api-key-verifier.ts';
import { observe } from './request-context.ts';

/** Longest wait for a refusal's record, in milliseconds: with the look-up of the key before it, it stays within the contract's 2 s. */
const RECORD_TIMEOUT_MS = 900;
const BEARER = /^Bearer ([\x21-\x7e]{1,256})$/i;

export interface AuthenticationDependencies {
  keys: StoredKeys;
  journal: Pick<Journal, 'append'>;
  pepper: string;
  isTrustedProxy: (address: Address) => boolean;
  operatorOrganizationId: Id;
  nextId: () => Id;
}

/**
 * Guards every route of a server, before its body is read: a request needs a key with the permission that its route declares. It is a
 * Fastify hook and not a Nest guard, because a guard comes after the body and costs more. Default deny: a route that declares no
 * permission, or one that does not exist, keeps the server from starting.
 */
export function guardRoutes(server: FastifyInstance, dependencies: AuthenticationDependencies): void {
  const verifier = new ApiKeyVerifier(dependencies.keys, dependencies.pepper);
  server.decorateRequest('kms', null);
  server.addHook('onRoute', requirePermission);
  server.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id).header('cache-control', 'no-store');
    if (request.is404) return;
    const { facts, address } = observe(request, dependencies.isTrustedProxy);
    const principal = await authenticate(request, facts, verifier, dependencies);
    await authorize(request, principal, facts, dependencies);
    request.kms = { facts, address, principal };
  });
}

function requirePermission({ method, url, config }: RouteOptions): void {
  const permission = config?.permission;
  if (permission !== undefined && ALL_PERMISSIONS.includes(permission)) return;
  throw new StartupError(`The route ${String(method)} ${url} declares no permission that exists: nobody could be let in.`);
}

async function authenticate(
  request: FastifyRequest,
  facts: RequestFacts,
  verifier: ApiKeyVerifier,
  dependencies: AuthenticationDependencies,
): Promise<Principal> {
  const [, token = ''] = BEARER.exec(request.headers.authorization ?? '') ?? [];
  const verified = await verifier.verify(token, Date.now()).catch((error: unknown) => {
    throw unavailable(error);
  });
  if ('principal' in verified) return verified.principal;
  await recordFailure(verified.failure, verified.id, facts, dependencies);
  throw invalidToken();
}

/** The failure belongs to the operator's organization: whose key it would be is not known, or not proven. */
async function recordFailure(
  reason: AuthenticationFailure,
  apiKey: Id | null,
  facts: RequestFacts,
  { journal, nextId, operatorOrganizationId }: AuthenticationDependencies,
): Promise<void> {
  const event = gatewayEvent(nextId(), new Date().toISOString(), facts, {
    type: 'kms.request.refused.v1',
    action: 'authenticate',
    outcome: 'denied',
    reason: `${reason}-key`,
    organizationId: operatorOrganizationId,
    environment: null,
    apiKeyId: apiKey,
    apiKeyName: null,
  });
  await record(journal, event);
}

async function authorize(
  request: FastifyRequest,
  principal: Principal,
  facts: RequestFacts,
  { journal, nextId }: AuthenticationDependencies,
): Promise<void> {
  const permission = request.routeOptions.config.permission as ApiAccessPermission;
  if (principal.permissions.has(permission)) return;
  const event = gatewayEvent(nextId(), new Date().toISOString(), facts, {
    type: 'kms.request.refused.v1',
    action: 'authenticate',
    outcome: 'denied',
    reason: 'missing-permission',
    ...byPrincipal(principal),
  });
  await record(journal, event);
  throw forbidden();
}

async function record(journal: AuthenticationDependencies['journal'], event: PlaceEvent): Promise<void> {
  try {
    await within(RECORD_TIMEOUT_MS, journal.append(event), () => new Error('The refusal was not durable in time.'));
  } catch (error) {
    throw auditUnavailable(error);
  }
}

import { clientAddress, type Address } from '@kms/access';
import type { ApiAccessPermission } from '@kms/contracts';
import type { FastifyRequest } from 'fastify';
import type { Principal } from '../domain/api-key.ts';
import { cutUserAgent, type RequestFacts } from '../domain/audit-event.ts';

/** What the authentication step leaves on a request for the steps after it. */
export interface RequestContext {
  facts: RequestFacts;
  address: Address | null;
  principal: Principal;
}

declare module 'fastify' {
  interface FastifyRequest {
    kms: RequestContext | null;
  }
  interface FastifyContextConfig {
    permission?: ApiAccessPermission;
  }
}

/** The request's context: there once it is authenticated. */
export function contextOf(request: FastifyRequest): RequestContext {
  if (request.kms === null) throw new Error('The request was not authenticated.');
  return request.kms;
}

/** What a request says of itself, before anybody vouches for it. */
export function observe(
  request: FastifyRequest,
  isTrusted: (address: Address) => boolean,
): { facts: RequestFacts; address: Address | null } {
  const forwarded = request.headers['x-forwarded-for'];
  const address = clientAddress(request.socket.remoteAddress, Array.isArray(forwarded) ? forwarded.join(',') : forwarded, isTrusted);
  return {
    address,
    facts: { requestId: request.id, address: address?.text ?? null, userAgent: cutUserAgent(request.headers['user-agent']) },
  };
}

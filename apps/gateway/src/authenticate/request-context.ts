import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
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

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** The request's id: the client's own where it is a UUID, else a new one. */
export function requestIdOf({ headers }: IncomingMessage): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && UUID.test(given) ? given : randomUUID();
}

/** What a request says of itself, before anybody vouches for it. */
export function observe(
  request: IncomingMessage,
  requestId: string,
  isTrusted: (address: Address) => boolean,
): { facts: RequestFacts; address: Address | null } {
  const { socket, headers } = request;
  const forwarded = headers['x-forwarded-for'];
  const address = clientAddress(socket.remoteAddress, Array.isArray(forwarded) ? forwarded.join(',') : forwarded, isTrusted);
  return { address, facts: { requestId, address: address?.text ?? null, userAgent: cutUserAgent(headers['user-agent']) } };
}

import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { clientAddress, parseAddress, type Address } from '@kms/access';
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

/** Peers' addresses as they were read: a connection brings many requests, and its peer stays who it is. */
const peers = new WeakMap<Socket, Address | null>();

function peerAddress(socket: Socket): Address | null {
  const known = peers.get(socket);
  if (known !== undefined) return known;
  const address = parseAddress(socket.remoteAddress ?? '');
  peers.set(socket, address);
  return address;
}

/** The client's address. Without the header it is the peer's, whether that is a trusted proxy or not. */
function addressOf({ socket, headers }: IncomingMessage, isTrusted: (address: Address) => boolean): Address | null {
  const forwarded = headers['x-forwarded-for'];
  if (forwarded === undefined) return peerAddress(socket);
  return clientAddress(socket.remoteAddress, Array.isArray(forwarded) ? forwarded.join(',') : forwarded, isTrusted);
}

/** What a request says of itself, before anybody vouches for it. */
export function observe(
  request: IncomingMessage,
  requestId: string,
  isTrusted: (address: Address) => boolean,
): { facts: RequestFacts; address: Address | null } {
  const address = addressOf(request, isTrusted);
  return { address, facts: { requestId, address: address?.text ?? null, userAgent: cutUserAgent(request.headers['user-agent']) } };
}

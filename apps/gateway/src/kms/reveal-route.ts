import { API_VERSION, ApiAccessPermission, RevealQuery } from '@kms/contracts';
import type { FastifyInstance } from 'fastify';
import { contextOf } from '../authenticate/request-context.ts';
import { parse } from '../parse.ts';
import type { RevealSecret } from './reveal-secret.ts';

/** The header of a reveal's answer that holds the receipt of its record. */
export const RECEIPT_HEADER = 'audit-record';

export const REVEAL_ROUTE = `/${API_VERSION}/kms/reveal/:handler.json`;

/** Reveals as an ordinary route, of Fastify's own: those that the reveal lane leaves to it, such as of another version than the current. */
export function routeReveals(server: FastifyInstance, reveals: RevealSecret): void {
  const config = { permission: ApiAccessPermission.KMS_READ };
  server.get<{ Params: { handler: string } }>(REVEAL_ROUTE, { config }, async (request, reply) => {
    const { version } = parse(RevealQuery, request.query);
    const { principal, facts, address } = contextOf(request);
    const { receivedAt, params } = request;
    const call = { receivedAt, principal, facts, address, handler: params.handler, version: version ?? null };
    const { body, receipt } = await reveals.reveal(call);
    void reply.header(RECEIPT_HEADER, receipt);
    return body;
  });
}

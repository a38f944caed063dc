import {
  API_VERSION,
  ApiAccessPermission,
  AuditQuery,
  LedgerCall,
  toPage,
  type AuditRecord,
  type LedgerQueryReply,
  type Page,
} from '@kms/contracts';
import { Controller, Get, Inject, Query, Req } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyRequest } from 'fastify';
import { contextOf } from '../authenticate/request-context.ts';
import { byPrincipal } from '../domain/audit-event.ts';
import { auditUnavailable } from '../domain/http-error.ts';
import type { Peer } from '../kms/policy-cache.ts';
import { checkRange, parse } from '../parse.ts';
import { Recorder } from './recorder.ts';

export const LEDGER = Symbol('Ledger');

/** The organization's audit records. */
@Controller(API_VERSION)
export class AuditController {
  constructor(
    @Inject(LEDGER) private readonly ledger: Peer,
    @Inject(Recorder) private readonly recorder: Recorder,
  ) {}

  @Get('audit.json')
  @RouteConfig({ permission: ApiAccessPermission.AUDIT_READ })
  async query(@Req() request: FastifyRequest, @Query() given: unknown): Promise<Page<'AuditRecord', AuditRecord>> {
    const query = parse(AuditQuery, given);
    checkRange('ip', query.ip);
    const { principal, facts } = contextOf(request);
    const reply = await this.#ask(principal.organizationId, query);
    if (reply.status !== 'ok') throw auditUnavailable();
    const observed = { type: 'kms.audit.read.v1', action: 'read-audit', outcome: 'success', reason: null } as const;
    await this.recorder.record(facts, { ...observed, ...byPrincipal(principal) });
    return toPage('AuditRecord', reply.value.count, query, reply.value.elements);
  }

  async #ask(organizationId: string, query: AuditQuery): Promise<LedgerQueryReply> {
    try {
      return await this.ledger.call<LedgerQueryReply>(LedgerCall.Query, { organizationId, query });
    } catch (error) {
      throw auditUnavailable(error);
    }
  }
}

import {
  AddVersionBody,
  API_VERSION,
  ApiAccessPermission,
  CreateEntryBody,
  Handler,
  InventoryQuery,
  RevealQuery,
  toPage,
  UpdateEntryBody,
  VaultCall,
  type Action,
  type ConfigurationReply,
  type EntryConfiguration,
  type EventType,
  type InventoryElement,
  type ListReply,
  type Page,
  type RevealedContent,
} from '@kms/contracts';
import { Body, Controller, Delete, Get, Headers, HttpCode, Inject, Param, Patch, Post, Query, Req } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyRequest } from 'fastify';
import { contextOf } from '../authenticate/request-context.ts';
import { byPrincipal, toCaller } from '../domain/audit-event.ts';
import { HttpError, unknownEntry, vaultUnavailable } from '../domain/http-error.ts';
import { checkWhitelist, parse, parseIfMatch } from '../parse.ts';
import { Recorder } from '../audit/recorder.ts';
import { RevealSecret, type RevealDependencies } from './reveal-secret.ts';

const READ = { permission: ApiAccessPermission.KMS_READ };
const WRITE = { permission: ApiAccessPermission.KMS_WRITE };

/** The entries: inventory, configuration, reveal, changes. */
@Controller(API_VERSION)
export class KmsController {
  readonly #vault: RevealDependencies['vault'];

  constructor(
    @Inject(RevealSecret) private readonly revealSecret: RevealSecret,
    @Inject(Recorder) private readonly recorder: Recorder,
  ) {
    this.#vault = revealSecret.dependencies.vault;
  }

  @Get('kms/reveal/:handler.json')
  @RouteConfig(READ)
  reveal(@Req() request: FastifyRequest, @Param('handler') handler: string, @Query() query: unknown): Promise<RevealedContent> {
    const { version } = parse(RevealQuery, query);
    const { principal, facts, address } = contextOf(request);
    const { receivedAt } = request;
    return this.revealSecret.reveal({ receivedAt, principal, facts, address, handler, version: version ?? null });
  }

  @Get('kms/:handler.json')
  @RouteConfig(READ)
  async read(@Req() request: FastifyRequest, @Param('handler') handler: string): Promise<EntryConfiguration> {
    const { organizationId, environment } = contextOf(request).principal;
    const reply = Handler.safeParse(handler).success
      ? await this.#ask<ConfigurationReply>(VaultCall.Read, { organizationId, environment, handler })
      : ({ status: 'refused', code: 'unknown-handler' } as const);
    const configuration = reply.status === 'ok' ? reply.value : null;
    await this.#record(request, 'kms.entry.read.v1', 'read', handler, configuration);
    if (configuration === null) throw unknownEntry();
    return configuration;
  }

  @Post('kms/:handler/versions.json')
  @HttpCode(201)
  @RouteConfig(WRITE)
  addVersion(@Req() request: FastifyRequest, @Param('handler') handler: string, @Body() body: unknown): Promise<EntryConfiguration> {
    const { content, encoding } = parse(AddVersionBody, body).kmsEntry;
    return this.#change(request, VaultCall.AddVersion, 'add-version', handler, { handler, content, encoding });
  }

  @Patch('kms/:handler.json')
  @RouteConfig(WRITE)
  update(
    @Req() request: FastifyRequest,
    @Param('handler') handler: string,
    @Body() body: unknown,
    @Headers('if-match') ifMatch: string | undefined,
  ): Promise<EntryConfiguration> {
    const { kmsEntry: changes } = parse(UpdateEntryBody, body);
    checkWhitelist(changes.whitelist);
    return this.#change(request, VaultCall.Update, 'update', handler, { handler, expectedRevision: parseIfMatch(ifMatch), changes });
  }

  @Delete('kms/:handler.json')
  @RouteConfig(WRITE)
  delete(@Req() request: FastifyRequest, @Param('handler') handler: string): Promise<EntryConfiguration> {
    return this.#change(request, VaultCall.Delete, 'delete', handler, { handler });
  }

  @Post('kms.json')
  @HttpCode(201)
  @RouteConfig(WRITE)
  create(@Req() request: FastifyRequest, @Body() body: unknown): Promise<EntryConfiguration> {
    const { kmsEntry: entry } = parse(CreateEntryBody, body);
    checkWhitelist(entry.whitelist);
    return this.#change(request, VaultCall.Create, 'create', entry.handler, { entry });
  }

  @Get('kms.json')
  @RouteConfig(READ)
  async list(@Req() request: FastifyRequest, @Query() query: unknown): Promise<Page<'KMSEntry', InventoryElement>> {
    const page = parse(InventoryQuery, query);
    const { principal, facts } = contextOf(request);
    const { organizationId, environment } = principal;
    const reply = await this.#ask<ListReply>(VaultCall.List, { organizationId, environment, ...page });
    if (reply.status !== 'ok') throw vaultUnavailable();
    const observed = { type: 'kms.inventory.read.v1', action: 'list', outcome: 'success', reason: null } as const;
    await this.recorder.record(facts, { ...observed, ...byPrincipal(principal) });
    return toPage('KMSEntry', reply.value.count, page, reply.value.elements);
  }

  async #change(request: FastifyRequest, pattern: string, action: Action, handler: string, payload: object): Promise<EntryConfiguration> {
    const { principal, facts } = contextOf(request);
    const reply = Handler.safeParse(handler).success
      ? await this.#ask<ConfigurationReply>(pattern, { caller: toCaller(principal, facts), ...payload })
      : ({ status: 'refused', code: 'unknown-handler' } as const);
    if (reply.status === 'ok') return reply.value;
    if (reply.code === 'unavailable') throw vaultUnavailable();
    await this.#record(request, 'kms.request.refused.v1', action, handler, null, reply.code);
    throw refusal(reply.code);
  }

  #record(
    request: FastifyRequest,
    type: EventType,
    action: Action,
    handler: string,
    entry: EntryConfiguration | null,
    reason = 'unknown-handler',
  ): Promise<void> {
    const { principal, facts } = contextOf(request);
    return this.recorder.record(facts, {
      type,
      action,
      outcome: entry === null ? 'denied' : 'success',
      reason: entry === null ? reason : null,
      ...byPrincipal(principal),
      entry: { entryId: entry?.id ?? null, handler, version: entry?.version ?? null, revision: entry?.revision ?? null },
    });
  }

  async #ask<T>(pattern: string, payload: object): Promise<T> {
    try {
      return await this.#vault.call<T>(pattern, payload);
    } catch (error) {
      throw vaultUnavailable(error);
    }
  }
}

function refusal(code: Exclude<(ConfigurationReply & { status: 'refused' })['code'], 'unavailable'>): HttpError {
  switch (code) {
    case 'unknown-handler':
      return unknownEntry();
    case 'handler-taken':
      return new HttpError(409, 'This handler is taken');
    case 'stale-revision':
      return new HttpError(412, 'This KMSEntry has another revision than If-Match says');
  }
}

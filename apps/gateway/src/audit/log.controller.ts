import {
  API_VERSION,
  ApiAccessPermission,
  ConsistencyQuery,
  Id,
  LedgerCall,
  type CheckpointReply,
  type CompletenessReply,
  type ConsistencyReply,
  type ExtensionProof,
  type LogVerification,
  type ProofOf,
  type ProofReply,
  type RecordProof,
  type TileReply,
} from '@kms/contracts';
import { MerkleError, parseTilePath, type Tile } from '@kms/merkle';
import { Controller, Get, Header, Inject, Param, Query, Req } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyRequest } from 'fastify';
import { contextOf } from '../authenticate/request-context.ts';
import { byPrincipal } from '../domain/audit-event.ts';
import { auditUnavailable, HttpError } from '../domain/http-error.ts';
import type { Peer } from '../kms/policy-cache.ts';
import { parse } from '../parse.ts';
import { LEDGER } from './audit.controller.ts';
import { Recorder } from './recorder.ts';

const PREFIX = `${API_VERSION}/audit`;
const READ = { permission: ApiAccessPermission.AUDIT_READ };

/** The organization's log as a tree: signed checkpoints, its tiles and records, and proofs against them. */
@Controller(PREFIX)
export class LogController {
  constructor(
    @Inject(LEDGER) private readonly ledger: Peer,
    @Inject(Recorder) private readonly recorder: Recorder,
  ) {}

  @Get('checkpoint')
  @Header('content-type', 'text/plain; charset=utf-8')
  @RouteConfig(READ)
  async checkpoint(@Req() request: FastifyRequest): Promise<string> {
    const { checkpoint } = await this.#ask<CheckpointReply>(request, LedgerCall.Checkpoint, {});
    await this.#record(request);
    if (checkpoint === null) throw new HttpError(404, 'There is no checkpoint yet');
    return checkpoint;
  }

  @Get('keys.json')
  @RouteConfig(READ)
  async keys(@Req() request: FastifyRequest): Promise<LogVerification> {
    const { keys, witnesses, quorum } = await this.#ask<CheckpointReply>(request, LedgerCall.Checkpoint, {});
    await this.#record(request);
    return { keys, witnesses, quorum };
  }

  @Get('proof/:recordId.json')
  @RouteConfig(READ)
  async proof(@Req() request: FastifyRequest, @Param('recordId') recordId: string): Promise<RecordProof> {
    const known = Id.safeParse(recordId).success;
    const reply = known ? await this.#ask<ProofReply>(request, LedgerCall.Proof, { recordId }) : ({ status: 'unknown' } as const);
    await this.#record(request);
    return shown(reply);
  }

  @Get('consistency.json')
  @RouteConfig(READ)
  async consistency(@Req() request: FastifyRequest, @Query() given: unknown): Promise<ExtensionProof> {
    const { from, to } = parse(ConsistencyQuery, given);
    const reply = await this.#ask<ConsistencyReply>(request, LedgerCall.Consistency, { from, to });
    await this.#record(request);
    return shown(reply);
  }

  @Get('completeness.json')
  @RouteConfig(READ)
  async completeness(@Req() request: FastifyRequest): Promise<CompletenessReply> {
    const reply = await this.#ask<CompletenessReply>(request, LedgerCall.Completeness, {});
    await this.#record(request);
    return reply;
  }

  /** A tile, or under `tile/entries` a bundle of records (C2SP tlog-tiles). */
  @Get('tile/*')
  @Header('content-type', 'application/octet-stream')
  @RouteConfig(READ)
  async tile(@Req() request: FastifyRequest): Promise<Buffer> {
    return this.#readTile(request, pathIn(request));
  }

  /** A bundle of records under a shorter name. */
  @Get('entries/*')
  @Header('content-type', 'application/octet-stream')
  @RouteConfig(READ)
  async entries(@Req() request: FastifyRequest): Promise<Buffer> {
    return this.#readTile(request, `tile/${pathIn(request)}`);
  }

  async #readTile(request: FastifyRequest, path: string): Promise<Buffer> {
    const tile = parsePath(path);
    const parts: Buffer[] = [];
    let from = 0;
    let reply: TileReply;
    do {
      reply = await this.#ask<TileReply>(request, LedgerCall.Tile, { ...tile, from });
      if (reply.status !== 'ok') break;
      parts.push(Buffer.from(reply.value.bytes, 'base64'));
      from = reply.value.to;
    } while (from < tile.width);
    await this.#record(request);
    shown(reply);
    return Buffer.concat(parts);
  }

  #record(request: FastifyRequest): Promise<void> {
    const { principal, facts } = contextOf(request);
    const observed = { type: 'kms.audit.read.v1', action: 'read-audit', outcome: 'success', reason: null } as const;
    return this.recorder.record(facts, { ...observed, ...byPrincipal(principal) });
  }

  async #ask<T>(request: FastifyRequest, pattern: string, payload: object): Promise<T> {
    const { organizationId } = contextOf(request).principal;
    try {
      return await this.ledger.call<T>(pattern, { organizationId, ...payload });
    } catch (error) {
      throw auditUnavailable(error);
    }
  }
}

function shown<T>(reply: ProofOf<T>): T {
  if (reply.status === 'ok') return reply.value;
  if (reply.status === 'unknown') throw new HttpError(404, 'This record does not exist');
  if (reply.status === 'retired') throw new HttpError(410, `Not in the ledger, which has retired its records before ${reply.from}`);
  throw new HttpError(404, 'No checkpoint reaches this far yet: ask again in a few seconds');
}

/** The path of a request below the log's own, as it was sent: tile paths have one spelling. */
function pathIn({ url }: FastifyRequest): string {
  const [path = ''] = url.split('?');
  return path.slice(PREFIX.length + 2);
}

function parsePath(path: string): Tile {
  try {
    return parseTilePath(path);
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
    throw new HttpError(400, error.message.replace(/\.$/, ''));
  }
}

import { LedgerCall, type LedgerQueryReply, type LedgerQueryRequest, type WatermarksReply, type WatermarksRequest } from '@kms/contracts';
import { Controller, Inject, type DynamicModule } from '@nestjs/common';
import { MessagePattern } from '@nestjs/microservices';
import type pg from 'pg';
import { queryLedger } from './query/query-ledger.ts';
import { readWatermarks } from './query/read-watermarks.ts';

const POOL = Symbol('Pool');

/** What other services ask of the ledger. */
@Controller()
export class LedgerController {
  constructor(@Inject(POOL) private readonly pool: pg.Pool) {}

  @MessagePattern(LedgerCall.Watermarks)
  watermarks(request: WatermarksRequest): Promise<WatermarksReply> {
    return readWatermarks(this.pool, request);
  }

  @MessagePattern(LedgerCall.Query)
  query(request: LedgerQueryRequest): Promise<LedgerQueryReply> {
    return queryLedger(this.pool, request);
  }
}

export class AuditModule {
  static with(pool: pg.Pool): DynamicModule {
    return { module: AuditModule, controllers: [LedgerController], providers: [{ provide: POOL, useValue: pool }] };
  }
}

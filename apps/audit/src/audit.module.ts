import {
  LedgerCall,
  type CheckpointReply,
  type CheckpointRequest,
  type CompletenessReply,
  type ConsistencyReply,
  type ConsistencyRequest,
  type LedgerQueryReply,
  type LedgerQueryRequest,
  type ProofReply,
  type ProofRequest,
  type SettleParkedReply,
  type SettleParkedRequest,
  type TileReply,
  type TileRequest,
  type WatermarksReply,
  type WatermarksRequest,
} from '@kms/contracts';
import { Controller, Inject, type DynamicModule } from '@nestjs/common';
import { MessagePattern } from '@nestjs/microservices';
import type pg from 'pg';
import type { LogKeys } from './checkpoint/log-keys.ts';
import type { Witnesses } from './checkpoint/witnesses.ts';
import { readCompleteness } from './completeness/read-completeness.ts';
import { settleParked } from './completeness/settle-parked.ts';
import { Prover, readCheckpoint } from './proofs/prove.ts';
import { serveTile } from './proofs/serve-tile.ts';
import { queryLedger } from './query/query-ledger.ts';
import { readWatermarks } from './query/read-watermarks.ts';

const POOL = Symbol('Pool');
const LOG_KEYS = Symbol('LogKeys');
const WITNESSES = Symbol('Witnesses');

/** What other services ask of the ledger. */
@Controller()
export class LedgerController {
  constructor(
    @Inject(POOL) private readonly pool: pg.Pool,
    @Inject(LOG_KEYS) private readonly keys: LogKeys,
    @Inject(WITNESSES) private readonly witnesses: Witnesses,
    @Inject(Prover) private readonly prover: Prover,
  ) {}

  @MessagePattern(LedgerCall.Watermarks)
  watermarks(request: WatermarksRequest): Promise<WatermarksReply> {
    return readWatermarks(this.pool, request);
  }

  @MessagePattern(LedgerCall.SettleParked)
  settleParked(request: SettleParkedRequest): Promise<SettleParkedReply> {
    return settleParked(this.pool, request);
  }

  @MessagePattern(LedgerCall.Query)
  query(request: LedgerQueryRequest): Promise<LedgerQueryReply> {
    return queryLedger(this.pool, request);
  }

  @MessagePattern(LedgerCall.Checkpoint)
  async checkpoint({ organizationId }: CheckpointRequest): Promise<CheckpointReply> {
    const note = await readCheckpoint(this.pool, organizationId);
    const { verifierKeys: witnesses, quorum } = this.witnesses;
    return { checkpoint: note?.toString('utf8') ?? null, keys: this.keys.verifierKeys, witnesses, quorum };
  }

  @MessagePattern(LedgerCall.Proof)
  proof({ organizationId, recordId }: ProofRequest): Promise<ProofReply> {
    return this.prover.proveRecord(organizationId, recordId);
  }

  @MessagePattern(LedgerCall.Consistency)
  consistency({ organizationId, from, to }: ConsistencyRequest): Promise<ConsistencyReply> {
    return this.prover.proveExtension(organizationId, from, to);
  }

  @MessagePattern(LedgerCall.Tile)
  tile(request: TileRequest): Promise<TileReply> {
    return serveTile(this.pool, request);
  }

  @MessagePattern(LedgerCall.Completeness)
  completeness(): Promise<CompletenessReply> {
    return readCompleteness(this.pool, new Date());
  }
}

export class AuditModule {
  static with(pool: pg.Pool, keys: LogKeys, witnesses: Witnesses): DynamicModule {
    return {
      module: AuditModule,
      controllers: [LedgerController],
      providers: [
        { provide: POOL, useValue: pool },
        { provide: LOG_KEYS, useValue: keys },
        { provide: WITNESSES, useValue: witnesses },
        { provide: Prover, useValue: new Prover(pool) },
      ],
    };
  }
}

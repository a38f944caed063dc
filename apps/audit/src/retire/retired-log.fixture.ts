import { auditData, prepareEvent, type Id } from '@kms/contracts';
import { chainHash, GENESIS } from '@kms/journal';
import { createLogger, KeptFiles } from '@kms/platform';
import type pg from 'pg';
import { parseLogKeys, signerKey } from '../checkpoint/log.fixture.ts';
import { PublishCheckpoints } from '../checkpoint/publish-checkpoints.ts';
import { NO_WITNESSES } from '../checkpoint/witnesses.ts';
import { CheckChains } from '../completeness/check-chains.ts';
import { AppendBatch } from '../ingest/append-batch.ts';

export const LOG_KEYS = parseLogKeys(signerKey(1));
const START = Date.parse('2026-01-01T00:00:00Z');
const logger = createLogger('test');
logger.level = 'silent';

/** One writer that numbers the events of several organizations, one event a second, and a ledger that takes them. */
export class WriterAndLedger {
  /** Each organization's events in the order in which they were made. */
  readonly made = new Map<Id, Buffer[]>();
  /** All of them. */
  readonly events: { organizationId: Id; bytes: Buffer }[] = [];
  readonly #ledger: AppendBatch;
  readonly #checkpoints: PublishCheckpoints;
  readonly #chains: CheckChains;
  #hash: Buffer = GENESIS;

  constructor(
    readonly pool: pg.Pool,
    /** Where the checkpoints are kept. */
    folder: string,
    readonly writer: Id = 'a'.repeat(24),
  ) {
    const now = () => new Date(START);
    this.#ledger = new AppendBatch({ pool, operatorOrganizationId: '0'.repeat(24), logger, now });
    this.#checkpoints = new PublishCheckpoints({ pool, keys: LOG_KEYS, kept: new KeptFiles(folder), witnesses: NO_WITNESSES, logger, now });
    this.#chains = new CheckChains({ pool, logger, now });
  }

  /** The id of the event with that number. */
  static idOf(sequence: number): Id {
    return Math.floor(START / 1_000 + sequence).toString(16) + sequence.toString(16).padStart(16, '0');
  }

  /** Makes events of an organization, and appends none. */
  make(organizationId: Id, count: number): Buffer[] {
    const own = this.made.get(organizationId) ?? [];
    this.made.set(organizationId, own);
    return Array.from({ length: count }, () => {
      const sequence = this.events.length + 1;
      const place = prepareEvent({
        id: WriterAndLedger.idOf(sequence),
        source: '/vault',
        type: 'kms.secret.revealed.v1',
        time: new Date(START + sequence * 1_000).toISOString(),
        data: auditData({ organizationId, handler: `handler-${sequence % 3}`, action: 'reveal', outcome: 'success' }),
      });
      const bytes = Buffer.from(place({ writer: this.writer, sequence, previousHash: this.#hash.toString('hex') }));
      this.#hash = chainHash(this.#hash, bytes);
      own.push(bytes);
      this.events.push({ organizationId, bytes });
      return bytes;
    });
  }

  /** Sends events of an organization to the ledger, in one batch. */
  async send(organizationId: Id, values: readonly Buffer[]): Promise<void> {
    const messages = values.map((value, at) => ({ offset: BigInt(at), key: Buffer.from(organizationId), value }));
    await this.#ledger.handle({ topic: 'topic', partition: 0, messages, nextOffset: BigInt(values.length) });
  }

  async append(organizationId: Id, count: number): Promise<void> {
    await this.send(organizationId, this.make(organizationId, count));
  }

  sign(): Promise<void> {
    return this.#checkpoints.publishDue();
  }

  checkChains(): Promise<void> {
    return this.#chains.checkNew();
  }

  /** All that a retirement asks for. */
  async settle(): Promise<void> {
    await this.sign();
    await this.checkChains();
  }
}

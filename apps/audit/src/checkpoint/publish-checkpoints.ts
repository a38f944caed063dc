import type { Id } from '@kms/contracts';
import { CompactRange, MerkleError } from '@kms/merkle';
import { TroubleLog, type Logger } from '@kms/platform';
import type pg from 'pg';
import { splitHashes } from '../ingest/extend-tree.ts';
import { LedgerTiles } from '../proofs/ledger-tiles.ts';
import { Rounds, whileAlone } from './rounds.ts';
import { InconsistentLogError, signCheckpoint, type SigningDependencies } from './sign-checkpoint.ts';

/** A log with news gets a checkpoint at most this often, in milliseconds. */
const EVERY_MS = 1_000;
/** A log without news gets one this often all the same, in milliseconds: that nothing happened is signed too. */
const AT_LEAST_EVERY_MS = 3_600_000;
/** The key of the lock that the one process holds that signs. */
const SIGNER_LOCK = 0x636b70;

// A loose scan: each organization's newest head and checkpoint, however many of either there are.
const DUE = `
  WITH RECURSIVE organizations AS (
    SELECT min(organization_id) AS id FROM ledger_heads
    UNION ALL
    SELECT (SELECT min(organization_id) FROM ledger_heads WHERE organization_id > organizations.id) FROM organizations WHERE id IS NOT NULL)
  SELECT id, head.size::float8 AS size, head.edge, last.note FROM organizations
  CROSS JOIN LATERAL (SELECT size, edge FROM ledger_heads WHERE organization_id = id ORDER BY size DESC LIMIT 1) AS head
  LEFT JOIN LATERAL (
    SELECT size, note, signed_at FROM ledger_checkpoints WHERE organization_id = id ORDER BY size DESC, signed_at DESC LIMIT 1) AS last ON true
  WHERE last.size IS NULL OR last.size <> head.size OR last.signed_at < $1`;

export interface PublishingDependencies extends SigningDependencies {
  pool: pg.Pool;
  logger: Logger;
  now: () => Date;
}

/** Signs and publishes checkpoints for as long as it runs, where no other process does. */
export class PublishCheckpoints {
  /** Logs that could not be signed, so that it is said once and not every second. */
  readonly #refused = new Set<Id>();
  readonly #rounds: Rounds;

  constructor(readonly dependencies: PublishingDependencies) {
    const trouble = new TroubleLog({
      logger: dependencies.logger,
      level: 'error',
      trouble: 'Checkpoints cannot be published; it tries again.',
      over: 'Checkpoints are published again.',
    });
    this.#rounds = new Rounds(EVERY_MS, () => this.publishDue(), trouble);
  }

  /** How many logs this process refuses to sign on. */
  get refusedLogs(): number {
    return this.#refused.size;
  }

  /** How many rounds have ended, well or badly. */
  get rounds(): number {
    return this.#rounds.ended;
  }

  start(): void {
    this.#rounds.start();
  }

  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  /** One round over all logs. Does nothing while another process is at it. */
  publishDue(): Promise<void> {
    return whileAlone(this.dependencies.pool, SIGNER_LOCK, (client) => this.#publishAll(client));
  }

  async #publishAll(client: pg.ClientBase): Promise<void> {
    const oldest = new Date(this.dependencies.now().getTime() - AT_LEAST_EVERY_MS);
    const { rows } = await client.query<{ id: Id; size: number; edge: Buffer; note: Buffer | null }>(DUE, [oldest]);
    for (const { id, size, edge, note } of rows) {
      const root = CompactRange.from(size, splitHashes(edge)).root();
      await this.#publish(client, id, { size, root }, note);
    }
  }

  async #publish(client: pg.ClientBase, organizationId: Id, head: { size: number; root: Uint8Array }, last: Buffer | null): Promise<void> {
    const { pool, logger, now } = this.dependencies;
    const time = now();
    try {
      const nodes = new LedgerTiles(pool, organizationId).nodes(head.size);
      const note = await signCheckpoint(this.dependencies, organizationId, head, last, nodes, time);
      await client.query('INSERT INTO ledger_checkpoints (organization_id, size, signed_at, note) VALUES ($1, $2, $3, $4)', [
        organizationId,
        head.size,
        time,
        note,
      ]);
      this.#refused.delete(organizationId);
    } catch (error) {
      // One log that cannot be signed, for what it is or for what was signed before, does not keep the others from being signed.
      if (!(error instanceof InconsistentLogError || error instanceof MerkleError)) throw error;
      if (!this.#refused.has(organizationId)) logger.fatal({ err: error, organizationId }, error.message);
      this.#refused.add(organizationId);
    }
  }
}

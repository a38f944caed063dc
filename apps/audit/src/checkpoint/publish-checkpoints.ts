import type { Id } from '@kms/contracts';
import { CompactRange, MerkleError, parseCheckpoint, parseNote, writeNote, type TreeHead } from '@kms/merkle';
import { failpoint, KeptMeanwhileError, TroubleLog, type Logger } from '@kms/platform';
import type pg from 'pg';
import { splitHashes } from '../ingest/extend-tree.ts';
import { LedgerTiles } from '../proofs/ledger-tiles.ts';
import { Rounds, whileAlone } from './rounds.ts';
import { InconsistentLogError, signCheckpoint, type SigningDependencies } from './sign-checkpoint.ts';
import { TooFewWitnessesError, type Witnesses } from './witnesses.ts';

/** A log with news gets a checkpoint at most this often, in milliseconds. */
const EVERY_MS = 1_000;
/** A log without news gets one this often all the same, in milliseconds: that nothing happened is signed too. */
const AT_LEAST_EVERY_MS = 3_600_000;
/** How many logs wait for their witnesses at the same time. */
const MAX_UNDER_WAY = 32;
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

interface DueLog {
  id: Id;
  size: number;
  edge: Buffer;
  /** The checkpoint that was published last, or null. */
  note: Buffer | null;
}

export interface PublishingDependencies extends SigningDependencies {
  pool: pg.Pool;
  witnesses: Witnesses;
  logger: Logger;
  now: () => Date;
}

/**
 * Signs checkpoints, has them cosigned where there are witnesses, and publishes them, for as long as it runs, where no other process does.
 * A log that waits for its witnesses keeps no other log waiting. What is signed and not published, for whatever came between, is followed
 * by a later one that extends it: witnesses say how far they are.
 */
export class PublishCheckpoints {
  /** Logs that could not be signed, or whose witnesses know another history, so that it is said once and not every second. */
  readonly #refused = new Set<Id>();
  readonly #underWay = new Map<Id, Promise<void>>();
  readonly #rounds: Rounds;
  #furtherTimes = 0;
  readonly #witnessTrouble: TroubleLog;
  readonly #end = new AbortController();

  constructor(readonly dependencies: PublishingDependencies) {
    const { logger } = dependencies;
    const trouble = new TroubleLog({
      logger,
      level: 'error',
      trouble: 'Checkpoints cannot be published; it tries again.',
      over: 'Checkpoints are published again.',
    });
    this.#rounds = new Rounds(EVERY_MS, () => this.publishDue(), trouble);
    this.#witnessTrouble = new TroubleLog({
      logger,
      level: 'error',
      trouble: 'Too few witnesses cosign: nothing newer is published until they do; it tries again.',
      over: 'The witnesses cosign again.',
    });
  }

  /** How many logs this process refuses to sign on. */
  get refusedLogs(): number {
    return this.#refused.size;
  }

  /** How many times it went over all logs, well or badly: further times while some wait for their witnesses are counted too. */
  get rounds(): number {
    return this.#rounds.ended + this.#furtherTimes;
  }

  start(): void {
    this.#rounds.start();
  }

  stop(): Promise<void> {
    this.#end.abort();
    return this.#rounds.stop();
  }

  /**
   * One round over all logs, and further ones for as long as some of them wait for their witnesses. Does nothing while another process is at
   * it. Rejects with what the database or the disk failed with first.
   */
  publishDue(): Promise<void> {
    return whileAlone(this.dependencies.pool, SIGNER_LOCK, async (client) => {
      const failures: unknown[] = [];
      do {
        await this.#startDue(client, failures);
        await this.#settled();
        this.#furtherTimes += 1;
      } while (this.#underWay.size > 0 && failures.length === 0);
      await Promise.all(this.#underWay.values());
      if (failures.length > 0) throw failures[0];
    });
  }

  /** Waits until nothing is under way, at most for as long as logs with news have to wait anyway. */
  async #settled(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const pause = new Promise<void>((resolve) => (timer = setTimeout(resolve, EVERY_MS)));
    await Promise.race([Promise.all(this.#underWay.values()), pause]);
    clearTimeout(timer);
  }

  async #startDue(client: pg.ClientBase, failures: unknown[]): Promise<void> {
    const oldest = new Date(this.dependencies.now().getTime() - AT_LEAST_EVERY_MS);
    const { rows } = await client.query<DueLog>(DUE, [oldest]);
    for (const log of rows) {
      if (this.#underWay.has(log.id)) continue;
      if (this.#end.signal.aborted || failures.length > 0 || !this.dependencies.witnesses.canCosign) return;
      const publication = this.#publish(client, log)
        .catch((error: unknown) => void failures.push(error))
        .finally(() => this.#underWay.delete(log.id));
      this.#underWay.set(log.id, publication);
      if (this.#underWay.size >= MAX_UNDER_WAY) await Promise.race(this.#underWay.values());
    }
  }

  async #publish(client: pg.ClientBase, log: DueLog): Promise<void> {
    const { logger } = this.dependencies;
    try {
      await this.#signAndPublish(client, log);
      this.#refused.delete(log.id);
      this.#witnessTrouble.worked();
    } catch (error) {
      // Another process has signed this log meanwhile, or waits for its witnesses: the next round sees what became of it.
      if (error instanceof KeptMeanwhileError) return;
      if (error instanceof TooFewWitnessesError) {
        if (!this.#end.signal.aborted) this.#witnessTrouble.failed(error);
        return;
      }
      // One log that cannot be signed, for what it is or for what was signed before, does not keep the others from being signed.
      if (!(error instanceof InconsistentLogError || error instanceof MerkleError)) throw error;
      if (!this.#refused.has(log.id)) logger.fatal({ err: error, organizationId: log.id }, error.message);
      this.#refused.add(log.id);
    }
  }

  async #signAndPublish(client: pg.ClientBase, { id, size, edge, note: published }: DueLog): Promise<void> {
    const { pool, keys, now } = this.dependencies;
    const [head, time, nodes] = [headOf(size, edge), now(), new LedgerTiles(pool, id).nodes(size)];
    const signed = await signCheckpoint(this.dependencies, id, head, published, nodes, time);
    const guess = published === null ? 0 : parseCheckpoint(parseNote(published).text).size;
    const note = await this.dependencies.witnesses.cosign(keys.origin(id), signed, guess, nodes, this.#end.signal, (error) => {
      if (!this.#refused.has(id)) this.dependencies.logger.fatal({ err: error, organizationId: id }, error.message);
      this.#refused.add(id);
    });
    failpoint('checkpoint.cosigned');
    await client.query('INSERT INTO ledger_checkpoints (organization_id, size, signed_at, note) VALUES ($1, $2, $3, $4)', [
      id,
      size,
      time,
      Buffer.from(writeNote(note)),
    ]);
    failpoint('checkpoint.published');
  }
}

function headOf(size: number, edge: Buffer): TreeHead {
  return { size, root: CompactRange.from(size, splitHashes(edge)).root() };
}

import { previousHashOf, type Id } from '@kms/contracts';
import { chainHash, GENESIS } from '@kms/journal';
import { TroubleLog, type Logger } from '@kms/platform';
import type pg from 'pg';
import { Rounds, whileAlone } from '../checkpoint/rounds.ts';
import { readGaps } from './read-completeness.ts';

/** How often the chains are looked at, in milliseconds. */
const EVERY_MS = 10_000;
/** Events that are read at once, and after which it is noted how far a chain was checked. */
const CHUNK = 1_000;
/** From this age on a gap is said, in milliseconds. */
const OLD_GAP_MS = 60_000;
/** The key of the lock that the one process holds that checks. */
const CHECKER_LOCK = 0x636861;

// A loose scan, which looks at two rows of each writer, however many events there are.
const WRITERS_WITH_NEWS = `
  WITH RECURSIVE writers AS (
    SELECT min(writer) AS id FROM ledger_records
    UNION ALL
    SELECT (SELECT min(writer) FROM ledger_records WHERE writer > writers.id) FROM writers WHERE id IS NOT NULL)
  SELECT id AS writer, coalesce(checked.sequence, 0)::float8 AS sequence, checked.hash
  FROM (SELECT id FROM writers WHERE id IS NOT NULL UNION SELECT writer FROM parked_events) AS known
  CROSS JOIN LATERAL (SELECT greatest(
    (SELECT sequence FROM ledger_records WHERE writer = id ORDER BY sequence DESC LIMIT 1),
    (SELECT max(sequence) FROM parked_events WHERE writer = id)) AS last) AS held
  LEFT JOIN LATERAL (SELECT sequence, hash FROM writer_chains WHERE writer = id ORDER BY sequence DESC LIMIT 1) AS checked ON true
  WHERE last > coalesce(checked.sequence, 0)`;
// An event that was parked is its raw bytes; where it came into the ledger too, that is taken.
const EVENTS = `
  SELECT sequence::float8 AS sequence, bytes, false AS parked FROM ledger_records WHERE writer = $1 AND sequence > $2 AND sequence <= $2 + ${CHUNK}
  UNION ALL
  SELECT sequence::float8, value, true FROM parked_events JOIN parked_messages USING (organization_id, leaf_index)
  WHERE writer = $1 AND sequence > $2 AND sequence <= $2 + ${CHUNK}
  ORDER BY sequence, parked`;

export interface ChainDependencies {
  pool: pg.Pool;
  logger: Pick<Logger, 'fatal' | 'error' | 'warn' | 'info'>;
  now: () => Date;
}

/** How far a writer's chain was checked, and the chain's hash there. */
interface Checked {
  sequence: number;
  hash: Buffer;
}

/**
 * Checks each writer's chain as the ledger grows, where no other process does: every event once, and behind the ingest instead of in it, since
 * a writer's events come over several partitions. What was checked is noted in the ledger, so that a start, or another process, goes on there.
 */
export class CheckChains {
  readonly #rounds: Rounds;
  /** Old gaps that were said: the last number before each, by writer. */
  #said = new Map<Id, number>();
  /** How many events in the ledger do not follow from the one before: each is evidence against the operator. */
  chainBreaks = 0;
  /** How many events are in the ledger as parked messages only. */
  parkedEvents = 0;
  /** How many writers have a gap of more than a minute. */
  writersWithOldGaps = 0;

  constructor(readonly dependencies: ChainDependencies) {
    const { logger } = dependencies;
    const trouble = new TroubleLog({
      logger,
      level: 'error',
      trouble: 'The chains of the writers cannot be checked; tried again.',
      over: 'The chains of the writers are checked again.',
    });
    this.#rounds = new Rounds(EVERY_MS, () => this.checkNew(), trouble);
  }

  start(): void {
    this.#rounds.start();
  }

  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  /** One round over all writers that have events which were not checked. Does nothing while another process is at it. */
  async checkNew(): Promise<void> {
    await whileAlone(this.dependencies.pool, CHECKER_LOCK, async (client) => {
      const { rows } = await client.query<{ writer: Id; sequence: number; hash: Buffer | null }>(WRITERS_WITH_NEWS);
      const old = new Map<Id, number>();
      for (const { writer, sequence, hash } of rows) {
        const highest = await this.#check(client, writer, { sequence, hash: hash ?? GENESIS });
        if (await this.#sayOldGap(client, writer, highest)) old.set(writer, highest);
      }
      this.#said = old;
      this.writersWithOldGaps = old.size;
      const broken = await client.query<{ count: number }>('SELECT count(*)::int AS count FROM writer_chains WHERE NOT fits');
      this.chainBreaks = broken.rows[0]?.count ?? 0;
      const parked = await client.query<{ count: number }>('SELECT count(*)::int AS count FROM parked_events');
      this.parkedEvents = parked.rows[0]?.count ?? 0;
    });
  }

  /** Checks a writer's events up to the first gap. Answers the number before it. */
  async #check(client: pg.ClientBase, writer: Id, from: Checked): Promise<number> {
    let at = from;
    let begin: number;
    do {
      begin = at.sequence;
      const { rows } = await client.query<{ sequence: number; bytes: Buffer; parked: boolean }>({
        name: 'read-chain',
        text: EVENTS,
        values: [writer, begin],
      });
      let isNoted = true;
      for (const { sequence, bytes, parked } of rows) {
        if (sequence === at.sequence) continue;
        if (sequence !== at.sequence + 1) break;
        // What a parked message says of itself is not read: that it follows is shown by the event behind it.
        if (parked) this.dependencies.logger.error({ writer, sequence }, PARKED);
        const previous = parked ? at.hash : Buffer.from(previousHashOf(bytes), 'hex');
        const fits = previous.equals(at.hash);
        at = { sequence, hash: chainHash(previous, bytes) };
        if (!fits) await this.#reportBreak(client, writer, at);
        isNoted = !fits;
      }
      if (!isNoted) await note(client, writer, at, true);
    } while (at.sequence === begin + CHUNK);
    return at.sequence;
  }

  async #reportBreak(client: pg.ClientBase, writer: Id, at: Checked): Promise<void> {
    const { sequence } = at;
    this.dependencies.logger.fatal(
      { writer, sequence },
      `The chain of writer ${writer} is broken: event ${sequence} does not follow from the one before.`,
    );
    await note(client, writer, at, false);
  }

  /** Says a gap that is old, once. Answers whether there is one. */
  async #sayOldGap(client: pg.ClientBase, writer: Id, highest: number): Promise<boolean> {
    const { logger, now } = this.dependencies;
    const [gap] = await readGaps(client, writer, highest, 1);
    if (gap === undefined || now().getTime() - Date.parse(gap.since) < OLD_GAP_MS) return false;
    if (this.#said.get(writer) !== highest)
      logger.error({ writer, ...gap }, 'Events of a writer are missing in the ledger for more than a minute.');
    return true;
  }
}

const PARKED = 'An event of a writer is in the ledger as a parked message only: it could not be understood.';

async function note(client: pg.ClientBase, writer: Id, { sequence, hash }: Checked, fits: boolean): Promise<void> {
  await client.query({
    name: 'note-chain',
    text: 'INSERT INTO writer_chains (writer, sequence, hash, fits) VALUES ($1, $2, $3, $4)',
    values: [writer, sequence, hash, fits],
  });
}

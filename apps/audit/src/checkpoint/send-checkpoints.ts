import type { Id } from '@kms/contracts';
import type { KafkaPublisher } from '@kms/kafka';
import { TroubleLog, type Logger } from '@kms/platform';
import type pg from 'pg';
import { Rounds, whileAlone } from './rounds.ts';

/** How often the database is looked at for checkpoints that are not on the topic yet, in milliseconds. */
const EVERY_MS = 1_000;
/** As many are read at once. */
const STEP = 500;
/** The key of the lock that the one process holds that sends. */
const SENDER_LOCK = 0x636b74;

const NEXT = `
  SELECT number, organization_id AS id, note FROM ledger_checkpoints
  WHERE number > (SELECT coalesce(max(through), 0) FROM sent_checkpoints) ORDER BY number LIMIT ${STEP}`;

// A loose scan: the newest of each organization that was sent, however many it has.
const NEWEST = `
  WITH RECURSIVE organizations AS (
    SELECT min(organization_id) AS id FROM ledger_checkpoints WHERE organization_id > $1
    UNION ALL
    SELECT (SELECT min(organization_id) FROM ledger_checkpoints WHERE organization_id > organizations.id) FROM organizations WHERE id IS NOT NULL)
  SELECT id, newest.note FROM organizations
  CROSS JOIN LATERAL (
    SELECT note FROM ledger_checkpoints
    WHERE organization_id = id AND number <= (SELECT coalesce(max(through), 0) FROM sent_checkpoints)
    ORDER BY size DESC, signed_at DESC LIMIT 1) AS newest
  LIMIT ${STEP}`;

export interface SendingDependencies {
  pool: pg.Pool;
  publisher: Pick<KafkaPublisher, 'publish'>;
  logger: Logger;
}

/**
 * Sends every published checkpoint to its topic, in the order of their publication, again until it is acknowledged; where no other process
 * does. The publication never waits for it. At a start, and whenever sending works again, the newest of each log goes first once more:
 * the broker may be another one, or have lost what it had.
 */
export class SendCheckpoints {
  readonly #rounds: Rounds;
  #isNewStart = true;

  constructor(readonly dependencies: SendingDependencies) {
    const trouble = new TroubleLog({
      logger: dependencies.logger,
      level: 'warn',
      trouble: 'Checkpoints cannot be sent to their topic; it tries again.',
      over: 'Checkpoints are sent to their topic again.',
    });
    this.#rounds = new Rounds(EVERY_MS, () => this.sendDue(), trouble);
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

  /** Sends all that is not sent yet. Does nothing while another process is at it. Rejects with what the database or Kafka failed with. */
  sendDue(): Promise<void> {
    return whileAlone(this.dependencies.pool, SENDER_LOCK, async (client) => {
      try {
        if (this.#isNewStart) await this.#repeatNewest(client);
        this.#isNewStart = false;
        while ((await this.#sendNext(client)) === STEP);
      } catch (error) {
        this.#isNewStart = true;
        throw error;
      }
    });
  }

  async #repeatNewest(client: pg.ClientBase): Promise<void> {
    for (let last = ''; ;) {
      const { rows } = await client.query<{ id: Id; note: Buffer }>(NEWEST, [last]);
      await this.#publish(rows);
      if (rows.length < STEP) return;
      last = rows.at(-1)?.id ?? last;
    }
  }

  /** How many there were. What is sent is noted only when the broker has acknowledged it. */
  async #sendNext(client: pg.ClientBase): Promise<number> {
    const { rows } = await client.query<{ number: string; id: Id; note: Buffer }>(NEXT);
    const last = rows.at(-1);
    if (last === undefined) return 0;
    await this.#publish(rows);
    await client.query('INSERT INTO sent_checkpoints (through) VALUES ($1)', [last.number]);
    return rows.length;
  }

  async #publish(rows: readonly { id: Id; note: Buffer }[]): Promise<void> {
    if (rows.length > 0) await this.dependencies.publisher.publish(rows.map(({ id, note }) => ({ key: id, value: note })));
  }
}

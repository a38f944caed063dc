import { setTimeout as delay } from 'node:timers/promises';
import { AUDIT_TOPIC, CHECKPOINT_TOPIC } from '@kms/contracts';
import { TopicMissingError, type KafkaConnection, type PartitionBounds } from '@kms/kafka';
import { createLogger } from '@kms/platform';
import { CannotRunError, EXIT, type Command, type Context, type ExitCode } from '../command.ts';
import { connectionTo } from '../kafka/connection-to.ts';
import { TopicReader } from '../kafka/topic-reader.ts';
import { parseFollowArguments, startsFrom, type FollowArguments } from './follow-arguments.ts';
import { Follower } from './follower.ts';
import { HUMAN_REPORT, JSON_REPORT } from './report.ts';
import { Tally } from './tally.ts';

/** How often the ends of the topics are looked at, in milliseconds. */
const LOOK_MS = 500;
/** How often a status is said where there is news, in milliseconds. */
const STATUS_MS = 10_000;
/** How long Kafka may be silent before `--until-end` gives up, in milliseconds. */
const PATIENCE_MS = 60_000;

const HELP = `
kms-audit follow --brokers <host:port,…> [options]

Reads the topic ${AUDIT_TOPIC} beside everybody else and checks each event: its schema, its key, its writer's numbers and chain. What
comes again must have the same bytes; what is missing is said when it has not come within the grace. With the log's public keys the
checkpoints on ${CHECKPOINT_TOPIC} are checked too: signatures, that no log shrinks and that no two trees of one size were signed, and
whether the events that were read give the root that was signed.

  --brokers <list>     host:port with commas between; KAFKA_BROKERS without. TLS and SASL by the KAFKA_ variables of the services
  --from <where>       beginning (the default), now, or offsets as partition:offset,…; from the beginning in partitions not named
  --until-end          ends when everything was read that was there at the start; without, it ends with Ctrl-C
  --grace <seconds>    how long what is missing may still come: 60
  --key <public key>   the log's public key, as GET /audit/keys.json has it; more than once while keys are changed
  --witness <key>      a witness's public key; each that is named must have cosigned
  --json               one JSON object a line

It commits no offsets. Exit codes: 0 all is good, 1 a violation, 2 the call is wrong or Kafka cannot be read.
`;

/** `kms-audit follow`. */
export const follow: Command = {
  help: HELP.trimStart(),
  async run(args, context) {
    const options = parseFollowArguments(args);
    return new Following(options, connectionTo(options.brokers, context.environment), context).run();
  },
};

/** The ends of the topics, and when they were looked at. */
interface Look {
  at: number;
  ends: ReadonlyMap<TopicReader, ReadonlyMap<number, PartitionBounds>>;
}

class Following {
  readonly #options: FollowArguments;
  readonly #context: Context;
  readonly #events: TopicReader;
  readonly #checkpoints: TopicReader | null;
  readonly #tally: Tally;
  #failure: Error | undefined;
  /** Since when Kafka has not answered. */
  #silentSince: number | null = null;

  constructor(options: FollowArguments, connection: KafkaConnection, context: Context) {
    this.#options = options;
    this.#context = context;
    const logger = createLogger('kms-audit');
    logger.level = context.environment['LOG_LEVEL'] || 'silent';
    this.#events = new TopicReader({ connection, topic: AUDIT_TOPIC, logger });
    this.#checkpoints = options.policyOf === undefined ? null : new TopicReader({ connection, topic: CHECKPOINT_TOPIC, logger });
    this.#tally = new Tally(options.isJson ? JSON_REPORT : HUMAN_REPORT, context.print);
  }

  async run(): Promise<ExitCode> {
    try {
      const first = await this.#firstLook();
      const follower = this.#start(first);
      await this.#readOn(follower, first);
      if (this.#failure !== undefined) throw new CannotRunError(`The topic cannot be read: ${this.#failure.message}`);
      return this.#tally.end(follower, Date.now()) ? EXIT.ok : EXIT.bad;
    } finally {
      await Promise.all([this.#events.stop(), this.#checkpoints?.stop()]);
    }
  }

  async #firstLook(): Promise<Look> {
    try {
      return await this.#look();
    } catch (error) {
      if (error instanceof TopicMissingError) throw new CannotRunError(error.message);
      throw new CannotRunError(`Kafka does not answer: ${(error as Error).message}`);
    }
  }

  /** The checkpoints' ends first: what they are over is then below the events' ends. */
  async #look(): Promise<Look> {
    const at = Date.now();
    const ends = new Map<TopicReader, ReadonlyMap<number, PartitionBounds>>();
    for (const reader of [this.#checkpoints, this.#events]) if (reader !== null) ends.set(reader, await reader.bounds());
    return { at, ends };
  }

  #start({ at, ends }: Look): Follower {
    const { from, policyOf } = this.#options;
    const partitions = startsFrom(from, ends.get(this.#events) ?? new Map());
    const follower = new Follower({ topic: AUDIT_TOPIC, partitions, startedAt: at, ...(policyOf && { policyOf }) });
    const fail = (error: Error) => void (this.#failure ??= error);
    const offsets = (starts: typeof partitions) => new Map([...starts].map(([partition, { start }]) => [partition, start]));
    this.#events.start(
      offsets(partitions),
      ({ partition, messages }) => {
        for (const { timestamp: appendedAt, ...message } of messages)
          this.#tally.take(follower.message({ partition, appendedAt, ...message }, Date.now()));
      },
      fail,
    );
    this.#context.note(
      `Reading ${AUDIT_TOPIC}: ${partitions.size} partitions${policyOf === undefined ? ', no checkpoints without a --key' : ''}.`,
    );
    if (this.#checkpoints === null) return follower;
    const checkpointStarts = startsFrom(from === 'now' ? 'now' : 'beginning', ends.get(this.#checkpoints) ?? new Map());
    this.#checkpoints.start(
      offsets(checkpointStarts),
      ({ topic, partition, messages }) => {
        for (const { key, value, offset } of messages)
          this.#tally.take(follower.checkpoint(key, value, { topic, partition, offset }, Date.now()));
      },
      fail,
    );
    return follower;
  }

  async #readOn(follower: Follower, first: Look): Promise<void> {
    const { isUntilEnd, graceMs } = this.#options;
    let [target, reachedAt, statusAt] = [first, 0, Date.now()];
    for (let look = first; this.#isOn; look = (await this.#nextLook()) ?? target) {
      if (this.#hasRead(target)) {
        reachedAt ||= Date.now();
        this.#tally.take(follower.overdue(target.at - graceMs));
        if (isUntilEnd && (!follower.isPending || target.at - graceMs >= reachedAt)) return;
        target = look;
      }
      if (Date.now() - statusAt < STATUS_MS) continue;
      statusAt = Date.now();
      this.#tally.status(follower, statusAt);
    }
  }

  get #isOn(): boolean {
    return !this.#context.signal.aborted && this.#failure === undefined;
  }

  /** Whether everything was taken that the look saw. */
  #hasRead({ ends }: Look): boolean {
    return [...ends].every(([reader, bounds]) => reader.hasReached(bounds));
  }

  /** Looks again after a while; null where Kafka does not answer, which is said once. */
  async #nextLook(): Promise<Look | null> {
    await delay(LOOK_MS, undefined, { signal: this.#context.signal }).catch(() => undefined);
    if (!this.#isOn) return null;
    try {
      const look = await this.#look();
      if (this.#silentSince !== null) this.#context.note('Kafka answers again.');
      this.#silentSince = null;
      return look;
    } catch (error) {
      if (this.#silentSince === null) this.#context.note(`Kafka does not answer; tried again: ${(error as Error).message}`);
      this.#silentSince ??= performance.now();
      if (this.#options.isUntilEnd && performance.now() - this.#silentSince > PATIENCE_MS) this.#failure = error as Error;
      return null;
    }
  }
}

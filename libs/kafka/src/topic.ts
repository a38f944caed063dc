import { createLogger, StartupError } from '@kms/platform';
import kafkajs, { type Admin } from 'kafkajs';
import { createClient } from './client.ts';
import type { KafkaConnection } from './connection.ts';

// A CommonJS package whose constants Node cannot see as named exports.
const { ConfigResourceTypes } = kafkajs;

/** Longest wait for a new topic's leaders, and how often they are asked for, in milliseconds. */
const LED_WITHIN_MS = 30_000;
const LED_POLL_MS = 200;

/** The topic is not there. The services never make it: how many partitions and replicas it has is the operator's choice. */
export class TopicMissingError extends Error {
  override readonly name = 'TopicMissingError';
}

/** Checks that a topic exists. Throws {@link TopicMissingError} when not, and kafkajs's errors where no broker answers. */
export async function assertTopic(admin: Admin, topic: string): Promise<void> {
  try {
    await admin.fetchTopicMetadata({ topics: [topic] });
  } catch (cause) {
    if (!isUnknownTopic(cause)) throw cause;
    throw new TopicMissingError(`The Kafka topic ${topic} does not exist: create it, the services never do.`, { cause });
  }
}

function isUnknownTopic(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (error as { type?: unknown }).type === 'UNKNOWN_TOPIC_OR_PARTITION' || isUnknownTopic(error.cause);
}

/** How a topic is made. */
export interface TopicSettings {
  topic: string;
  partitions: number;
  replicationFactor: number;
  minInsyncReplicas: number;
  /** How long messages stay, in milliseconds. */
  retentionMs: number;
}

/**
 * Makes a topic whose messages carry the broker's time (a client's clock that is an hour ahead would be refused otherwise), or checks that
 * the one that is there can be used: as many partitions or more, and the same replicas and clock. Throws {@link StartupError} with one
 * sentence where it cannot, or where no broker answers.
 */
export async function ensureTopic(connection: KafkaConnection, settings: TopicSettings): Promise<void> {
  const logger = createLogger('create-topic');
  logger.level = 'silent';
  const admin = createClient({ connection, clientId: 'kms-create-topic', logger }).admin();
  try {
    await admin.connect();
    if (!(await create(admin, settings))) await check(admin, settings);
  } catch (error) {
    throw error instanceof StartupError ? error : new StartupError(`Kafka cannot be used: ${sentence(error)}`, { cause: error });
  } finally {
    await admin.disconnect();
  }
}

/** False where the topic is there already. */
async function create(
  admin: Admin,
  { topic, partitions, replicationFactor, minInsyncReplicas, retentionMs }: TopicSettings,
): Promise<boolean> {
  const configuration = {
    'message.timestamp.type': 'LogAppendTime',
    'min.insync.replicas': String(minInsyncReplicas),
    'retention.ms': String(retentionMs),
    'cleanup.policy': 'delete',
  };
  const configEntries = Object.entries(configuration).map(([name, value]) => ({ name, value }));
  const topics = [{ topic, numPartitions: partitions, replicationFactor, configEntries }];
  const isNew = await admin.createTopics({ waitForLeaders: false, topics });
  if (isNew) await untilLed(admin, topic);
  return isNew;
}

/**
 * Waits until a new topic is led: a broker that is slow says that a topic is made well before it knows of it, and kafkajs's own wait ends
 * after the few retries of the client. Throws what kafkajs failed with last.
 */
export async function untilLed(admin: Pick<Admin, 'fetchTopicMetadata'>, topic: string, limitMs = LED_WITHIN_MS): Promise<void> {
  for (const deadline = performance.now() + limitMs; ; await new Promise((resolve) => setTimeout(resolve, LED_POLL_MS))) {
    try {
      await admin.fetchTopicMetadata({ topics: [topic] });
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}

async function check(admin: Admin, { topic, partitions, replicationFactor, minInsyncReplicas }: TopicSettings): Promise<void> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  const found = topics[0]?.partitions ?? [];
  const replicas = Math.min(...found.map((partition) => partition.replicas.length));
  refuseUnless(found.length >= partitions, topic, 'partitions', found.length, `${partitions} or more`);
  refuseUnless(replicas >= replicationFactor, topic, 'replicas', replicas, `${replicationFactor} or more`);
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [
      { type: ConfigResourceTypes.TOPIC, name: topic, configNames: ['message.timestamp.type', 'min.insync.replicas', 'cleanup.policy'] },
    ],
  });
  const valueOf = (name: string) => resources[0]?.configEntries.find(({ configName }) => configName === name)?.configValue ?? 'nothing';
  const insync = valueOf('min.insync.replicas');
  refuseUnless(Number(insync) >= minInsyncReplicas, topic, 'min.insync.replicas', insync, `${minInsyncReplicas} or more`);
  refuseUnless(
    valueOf('message.timestamp.type') === 'LogAppendTime',
    topic,
    'message.timestamp.type',
    valueOf('message.timestamp.type'),
    'LogAppendTime',
  );
  refuseUnless(valueOf('cleanup.policy') === 'delete', topic, 'cleanup.policy', valueOf('cleanup.policy'), 'delete');
}

function refuseUnless(isRight: boolean, topic: string, setting: string, found: number | string, wanted: string): void {
  if (!isRight) throw new StartupError(`The Kafka topic ${topic} cannot be used: its ${setting} is ${found}, and must be ${wanted}.`);
}

/** What kafkajs says, with what it says of each topic where it says no more than that some failed. */
function sentence(error: unknown): string {
  const { message, errors } = error as { message: string; errors?: { message: string }[] };
  return `${errors?.[0]?.message ?? message}`.replace(/\.?$/, '.');
}

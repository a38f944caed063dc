import type { Admin } from 'kafkajs';

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

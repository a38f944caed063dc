import { randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';

/** A message as compliance tooling finds it on the topic. */
export interface TopicMessage {
  partition: number;
  offset: bigint;
  key: string;
  contentType: string;
  value: string;
}

/** Reads a topic from its beginning, as a group of its own, until `isEnough` of what came so far. */
export async function readTopic(
  brokers: readonly string[],
  topic: string,
  isEnough: (messages: readonly TopicMessage[]) => boolean,
): Promise<TopicMessage[]> {
  const kafka = new Kafka({ brokers: [...brokers], clientId: 'compliance', logLevel: logLevel.NOTHING });
  const consumer = kafka.consumer({ groupId: `compliance-${randomUUID()}` });
  const messages: TopicMessage[] = [];
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  try {
    await new Promise<void>((resolve, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
      void consumer.run({
        eachMessage: async ({ partition, message }) => {
          const { key, value, offset, headers } = message;
          const contentType = String(headers?.['content-type']);
          messages.push({ partition, offset: BigInt(offset), key: String(key), contentType, value: String(value) });
          if (isEnough(messages)) resolve();
        },
      });
    });
  } finally {
    await consumer.disconnect();
  }
  return messages;
}

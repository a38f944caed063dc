import { AUDIT_TOPIC } from '@kms/contracts';
import { Kafka, logLevel } from 'kafkajs';

/** A message as compliance tooling finds it on the topic. */
export interface TopicMessage {
  key: string;
  contentType: string;
  value: string;
}

/** Reads the audit topic from its beginning, as a group of its own, until `isEnough` of what came so far. */
export async function readTopic(brokers: string[], isEnough: (messages: readonly TopicMessage[]) => boolean): Promise<TopicMessage[]> {
  const consumer = new Kafka({ brokers, clientId: 'compliance', logLevel: logLevel.NOTHING }).consumer({ groupId: 'compliance' });
  const messages: TopicMessage[] = [];
  await consumer.connect();
  await consumer.subscribe({ topics: [AUDIT_TOPIC], fromBeginning: true });
  try {
    await new Promise<void>((resolve, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
      void consumer.run({
        eachMessage: async ({ message }) => {
          messages.push({ key: String(message.key), contentType: String(message.headers?.['content-type']), value: String(message.value) });
          if (isEnough(messages)) resolve();
        },
      });
    });
  } finally {
    await consumer.disconnect();
  }
  return messages;
}

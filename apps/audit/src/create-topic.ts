import { AUDIT_TOPIC, CHECKPOINT_TOPIC } from '@kms/contracts';
import { ensureTopic, kafkaConnection } from '@kms/kafka';
import { loadConfiguration, StartupError } from '@kms/platform';
import { z } from 'zod';

const count = (standard: string) =>
  z
    .string()
    .default(standard)
    .refine((text) => /^[1-9][0-9]{0,4}$/.test(text), 'it must be a number from 1 to 99999')
    .transform(Number);

const TopicConfiguration = z.object({
  KAFKA_PARTITIONS: count('12'),
  KAFKA_REPLICATION_FACTOR: count('3'),
  KAFKA_MIN_INSYNC_REPLICAS: count('2'),
  KAFKA_RETENTION_HOURS: count('168'),
  /** 90 days: who follows the checkpoints finds again, after a long time, what they had before. */
  KAFKA_CHECKPOINT_RETENTION_HOURS: count('2160'),
});

/** Makes the topics of the events and of the checkpoints, or checks the ones that are there: exit code 0, or one sentence and exit code 1. */
try {
  const settings = loadConfiguration(TopicConfiguration, process.env);
  const connection = kafkaConnection(process.env);
  const retentionHours = { [AUDIT_TOPIC]: settings.KAFKA_RETENTION_HOURS, [CHECKPOINT_TOPIC]: settings.KAFKA_CHECKPOINT_RETENTION_HOURS };
  for (const [topic, hours] of Object.entries(retentionHours)) {
    await ensureTopic(connection, {
      topic,
      partitions: settings.KAFKA_PARTITIONS,
      replicationFactor: settings.KAFKA_REPLICATION_FACTOR,
      minInsyncReplicas: settings.KAFKA_MIN_INSYNC_REPLICAS,
      retentionMs: hours * 3_600_000,
    });
  }
} catch (error) {
  process.stderr.write(`audit: ${error instanceof StartupError ? error.message : `the topics could not be made: ${String(error)}`}\n`);
  process.exitCode = 1;
}

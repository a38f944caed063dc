import { AUDIT_TOPIC } from '@kms/contracts';
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
});

/** Makes the audit topic, or checks the one that is there: exit code 0, or one sentence and exit code 1. */
try {
  const settings = loadConfiguration(TopicConfiguration, process.env);
  await ensureTopic(kafkaConnection(process.env), {
    topic: AUDIT_TOPIC,
    partitions: settings.KAFKA_PARTITIONS,
    replicationFactor: settings.KAFKA_REPLICATION_FACTOR,
    minInsyncReplicas: settings.KAFKA_MIN_INSYNC_REPLICAS,
    retentionMs: settings.KAFKA_RETENTION_HOURS * 3_600_000,
  });
} catch (error) {
  process.stderr.write(`audit: ${error instanceof StartupError ? error.message : `the topic could not be made: ${String(error)}`}\n`);
  process.exitCode = 1;
}

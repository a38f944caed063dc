import { readFileSync } from 'node:fs';
import { loadConfiguration, StartupError } from '@kms/platform';
import type { KafkaConfig } from 'kafkajs';
import { z } from 'zod';
import { brokerList } from './brokers.ts';

/** Where Kafka is, and how a client shows who it is. */
export interface KafkaConnection {
  /** Asked anew whenever a connection is made from nothing; see {@link brokerList}. */
  brokers: () => string[];
  security: Pick<KafkaConfig, 'ssl' | 'sasl'>;
}

const Security = z.object({
  /** `true` for TLS with the system's authorities; a CA file implies it. */
  KAFKA_TLS: z.enum(['true', 'false'], 'it must be true or false').optional(),
  /** The file of the authorities (PEM) that the brokers' certificates must come from. */
  KAFKA_CA_FILE: z.string().optional(),
  KAFKA_SASL_MECHANISM: z.enum(['SCRAM-SHA-256', 'SCRAM-SHA-512'], 'it must be SCRAM-SHA-256 or SCRAM-SHA-512').optional(),
  KAFKA_SASL_USERNAME: z.string().optional(),
  KAFKA_SASL_PASSWORD: z.string().optional(),
});

/**
 * Reads from the environment where Kafka is (`KAFKA_BROKERS`, or `KAFKA_BROKERS_FILE`) and how to connect: `KAFKA_TLS`, `KAFKA_CA_FILE`,
 * and `KAFKA_SASL_MECHANISM` with `KAFKA_SASL_USERNAME` and `KAFKA_SASL_PASSWORD` (or `KAFKA_SASL_PASSWORD_FILE`). A password is sent
 * over TLS only. Throws {@link StartupError} with one sentence about the first mistake.
 */
export function kafkaConnection(environment: NodeJS.ProcessEnv): KafkaConnection {
  const brokers = brokerList(environment);
  const { KAFKA_TLS: tls, KAFKA_CA_FILE: caFile, ...named } = loadConfiguration(Security, environment);
  const { KAFKA_SASL_MECHANISM: mechanism, KAFKA_SASL_USERNAME: username, KAFKA_SASL_PASSWORD: password } = named;
  if (tls === 'false' && caFile !== undefined) throw new StartupError('KAFKA_CA_FILE is set though KAFKA_TLS is false: set one of them.');
  const ssl = caFile === undefined ? tls === 'true' : { ca: [readAuthorities(caFile)] };
  if (mechanism === undefined && username === undefined && password === undefined) return { brokers, security: { ssl } };
  if (mechanism === undefined || username === undefined || password === undefined)
    throw new StartupError('KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD must be set together.');
  if (ssl === false) throw new StartupError('KAFKA_SASL_PASSWORD is set without TLS: set KAFKA_TLS to true, or KAFKA_CA_FILE.');
  const user = { username, password };
  const sasl =
    mechanism === 'SCRAM-SHA-256' ? { mechanism: 'scram-sha-256' as const, ...user } : { mechanism: 'scram-sha-512' as const, ...user };
  return { brokers, security: { ssl, sasl } };
}

function readAuthorities(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new StartupError(`The file that KAFKA_CA_FILE names cannot be read: ${(cause as NodeJS.ErrnoException).code}.`, { cause });
  }
}

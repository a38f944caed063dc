import type { Logger } from '@kms/platform';
import type { KafkaConnection } from './connection.ts';
import { Kafka, logLevel, type LogEntry, type logCreator } from 'kafkajs';
import './request-queue.ts';

/** Longest wait for a TCP connection to a broker, in milliseconds. */
const CONNECTION_TIMEOUT_MS = 3_000;
/** Longest wait for a broker's answer, in milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000;

/** What every connection to Kafka is made of. */
export interface KafkaOptions {
  connection: KafkaConnection;
  /** How the process names itself to the brokers. */
  clientId: string;
  logger: Logger;
}

/**
 * Makes a kafkajs client. Its own retries are few and short: whoever uses it throws it away after a failure and makes another one,
 * which asks for the brokers again, so that nothing hangs on to a broker that has moved.
 */
export function createClient({ connection, clientId, logger }: KafkaOptions): Kafka {
  return new Kafka({
    clientId,
    brokers: async () => connection.brokers(),
    ...connection.security,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    enforceRequestTimeout: true,
    retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 1_000 },
    logLevel: logger.isLevelEnabled('debug') ? logLevel.DEBUG : logLevel.WARN,
    logCreator: logThrough(logger),
  });
}

/**
 * kafkajs calls an error what is often a retry that then works, so its lines are warnings here; what finally fails is reported by
 * the code that gives up. Only its fixed fields are taken over, never a payload.
 */
const logThrough =
  (logger: Logger): logCreator =>
  () =>
  ({ namespace, level, log }: LogEntry) => {
    const { message, broker, groupId, memberId, topic, partition, retryCount } = log;
    const fields = { kafkajs: namespace, broker, groupId, memberId, topic, partition, retryCount };
    if (level === logLevel.ERROR || level === logLevel.WARN) logger.warn(fields, message);
    else logger.debug(fields, message);
  };

import { kafkaConnection, type KafkaConnection } from '@kms/kafka';
import { StartupError } from '@kms/platform';
import { CannotRunError, type Context } from '../command.ts';

/** Where Kafka is: at `brokers` where they are given, or as the services' variables have it. Throws {@link CannotRunError}. */
export function connectionTo(brokers: string | undefined, environment: Context['environment']): KafkaConnection {
  try {
    const named = brokers === undefined ? {} : { KAFKA_BROKERS: brokers, KAFKA_BROKERS_FILE: '' };
    return kafkaConnection({ ...environment, ...named });
  } catch (error) {
    if (error instanceof StartupError) throw new CannotRunError(error.message);
    throw error;
  }
}

import { readFileSync } from 'node:fs';
import { StartupError } from '@kms/platform';

const BROKER = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?:([1-9][0-9]{0,4})$/;

/**
 * Where the brokers are: `KAFKA_BROKERS`, or the file that `KAFKA_BROKERS_FILE` names. The returned function answers the list anew at
 * every call and reads the file again, so that brokers may move while a service runs.
 *
 * The value is `host:port` (a name or an IPv4 address, a port from 1 to 65535), or several of them with commas between and nothing
 * else. Throws {@link StartupError} with one sentence where it is not, both here and when a later call reads a file that went bad.
 */
export function brokerList(environment: NodeJS.ProcessEnv): () => string[] {
  const value = environment['KAFKA_BROKERS'] || undefined;
  const file = environment['KAFKA_BROKERS_FILE'] || undefined;
  if (value !== undefined && file !== undefined)
    throw new StartupError('Both KAFKA_BROKERS and KAFKA_BROKERS_FILE are set: set one of them.');
  if (file !== undefined) {
    const read = () => parseBrokers('The file that KAFKA_BROKERS_FILE names', readBrokers(file));
    read();
    return read;
  }
  if (value === undefined) throw new StartupError('KAFKA_BROKERS is not set: it is required.');
  const brokers = parseBrokers('KAFKA_BROKERS', value);
  return () => [...brokers];
}

function readBrokers(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (cause) {
    throw new StartupError(`The file that KAFKA_BROKERS_FILE names cannot be read: ${(cause as NodeJS.ErrnoException).code}.`, { cause });
  }
}

function parseBrokers(source: string, text: string): string[] {
  const brokers = text.split(',');
  if (brokers.every(isBroker)) return brokers;
  throw new StartupError(`${source} is not valid: it must be host:port, or several of them with commas between and no spaces.`);
}

function isBroker(text: string): boolean {
  const port = BROKER.exec(text)?.[1];
  return port !== undefined && Number(port) <= 65_535;
}

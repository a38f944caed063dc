import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { StartupError } from '@kms/platform';
import { startKafka, type KafkaCluster } from './cluster.ts';

const HELP = `Runs Apache Kafka on this machine's loopback until Ctrl-C.

  npm run kafka -- [--brokers 1|3] [--directory <an empty folder>]

Without a folder the data goes with the run. The last line printed says what to set for npm start.
`;

async function main(): Promise<void> {
  const { brokers, directory: given, help } = parameters();
  if (help) return void process.stdout.write(HELP);
  const directory = given === undefined ? await mkdtemp(join(tmpdir(), 'kms-kafka-')) : resolve(given);
  const clean = () => (given === undefined ? rm(directory, { recursive: true, force: true }) : Promise.resolve());
  const starting = startKafka({ brokers, directory });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => void end(starting, clean));
  try {
    const cluster = await starting;
    process.stdout.write(`Apache Kafka is ready: KAFKA_BROKERS=${cluster.brokers.join(',')} KAFKA_REPLICATION_FACTOR=${brokers}`);
    process.stdout.write(` KAFKA_MIN_INSYNC_REPLICAS=${Math.max(1, brokers - 1)}\n`);
  } catch (error) {
    await clean();
    throw error;
  }
}

function parameters(): { brokers: number; directory: string | undefined; help: boolean } {
  try {
    const { values } = parseArgs({
      options: { brokers: { type: 'string', default: '1' }, directory: { type: 'string' }, help: { type: 'boolean', default: false } },
    });
    return { brokers: Number(values.brokers), directory: values.directory, help: values.help };
  } catch (error) {
    throw new StartupError(`${(error as Error).message}\n\n${HELP}`, { cause: error });
  }
}

async function end(starting: Promise<KafkaCluster>, clean: () => Promise<void>): Promise<void> {
  await starting.then(
    (cluster) => cluster.stop(),
    () => undefined, // It never ran: the start itself says why.
  );
  await clean();
  process.exit(0);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof StartupError ? error.message : String(error)}\n`);
  process.exitCode = 1;
});

import { fork, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { StartupError } from '@kms/platform';
import { Kafka, logLevel } from 'kafkajs';
import { exited, settlesWithin, type Exit } from './child.ts';

export interface BrokerOptions {
  /** The topics that are made at start, with 4 partitions each. */
  topics: readonly string[];
  /** Called once when the broker ends without having been stopped through this object. */
  onExit?: (exit: Exit) => void;
}

/** A running stand-in broker. */
export interface Broker {
  /** `127.0.0.1:PORT`; another one after each start. */
  readonly address: string;
  /** Process number. */
  readonly pid: number;
  /** Ends the broker, and with it every message that it kept. It can be called any number of times. */
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 2_000;

/**
 * Starts a stand-in for Apache Kafka: librdkafka's mock cluster, which speaks Kafka's wire protocol, in a process of its own that ends
 * when this one does. It keeps messages in memory only, at most 5 MB and 100,000 of them per partition (the oldest go first), which
 * bounds its memory; nothing that matters may rely on it to keep a message.
 *
 * Throws StartupError, with one sentence, when it does not start.
 */
export async function startBroker({ topics, onExit }: BrokerOptions): Promise<Broker> {
  const child = launch();
  let ending = false;
  const stop = async () => {
    ending = true;
    if (child.connected) child.disconnect();
    if (await settlesWithin(exited(child), STOP_TIMEOUT_MS)) return;
    child.kill('SIGKILL');
    await exited(child);
  };
  try {
    const address = await untilListening(child);
    await createTopics(address, topics);
    void exited(child).then((exit) => {
      if (!ending) onExit?.(exit);
    });
    return { address, pid: child.pid as number, stop };
  } catch (error) {
    await stop();
    if (error instanceof StartupError) throw error;
    throw new StartupError(`The stand-in for Kafka could not be started: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * The child runs the compiled file even when this one is run from its TypeScript source by a test: node cannot load TypeScript. Its own
 * session keeps a terminal's Ctrl-C from it.
 */
function launch(): ChildProcess {
  const entry = fileURLToPath(new URL('../dist/broker-process.js', import.meta.url));
  return fork(entry, [], {
    env: { PATH: process.env['PATH'] },
    execArgv: [],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
  });
}

/** The library tells its address in a log line only. Its output is read to the end, so that it never blocks on a full pipe. */
async function untilListening(child: ChildProcess): Promise<string> {
  let complaints = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    complaints = (complaints + chunk.toString()).slice(-4096);
  });
  const address = new Promise<string>((resolve) => {
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      const [, found] = /Mock cluster enabled: .* replaced with (127\.0\.0\.1:[0-9]{1,5})\b/.exec(line) ?? [];
      if (found) resolve(found);
    });
  });
  const ended = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('close', () => reject(new StartupError(`The stand-in for Kafka ended at its start: ${reason(complaints)}`)));
  });
  const outcome = Promise.race([address, ended]);
  if (await settlesWithin(outcome, START_TIMEOUT_MS)) return outcome;
  throw new StartupError(`The stand-in for Kafka was not ready within ${START_TIMEOUT_MS / 1000} s.`);
}

function reason(complaints: string): string {
  const error = complaints.split('\n').find((line) => /^\w*Error\b/.test(line));
  return error ?? 'it said nothing.';
}

/** The mock cluster makes a topic when a client that allows it asks for its metadata; the request to create topics fails there. */
async function createTopics(address: string, topics: readonly string[]): Promise<void> {
  const kafka = new Kafka({ brokers: [address], clientId: 'broker-start', logLevel: logLevel.NOTHING });
  const producer = kafka.producer({ allowAutoTopicCreation: true });
  await producer.connect();
  try {
    for (const topic of topics) await producer.send({ topic, messages: [] });
  } finally {
    await producer.disconnect();
  }
}

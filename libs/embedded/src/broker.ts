import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { StartupError } from '@kms/platform';

export interface RunningBroker {
  /** `127.0.0.1:port`. */
  address: string;
  pid: number;
  /** Settles when the process has ended, for whatever reason. */
  ended: Promise<unknown>;
  stop(): Promise<void>;
}

const START_DEADLINE_MS = 10_000;
/** librdkafka tells the address of its mock cluster only in a log line of native code, on the process's standard output. */
const ADDRESS = /bootstrap\.servers.*replaced with (127\.0\.0\.1:[0-9]+)/;
const ADDRESS_TOLD = 'told';

/**
 * Starts a stand-in for Kafka in a process of its own: librdkafka's mock cluster, which speaks Kafka's protocol, listens on the loopback
 * address only, keeps its messages in memory (at most 5 MB and 100,000 a partition; older ones go) and is empty when it starts again.
 * The process ends with its parent. Throws StartupError.
 */
export async function startBroker({ topic }: { topic: string }): Promise<RunningBroker> {
  // The process runs compiled code, also where this file itself runs from its source.
  const entry = fileURLToPath(new URL('../dist/broker-process.js', import.meta.url));
  const child = fork(entry, [topic], { stdio: ['ignore', 'pipe', 'ignore', 'ipc'] });
  let log = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    if (log === ADDRESS_TOLD) return;
    log += chunk.toString('utf8');
    const address = ADDRESS.exec(log)?.[1];
    if (address === undefined) return;
    log = ADDRESS_TOLD;
    child.send({ address });
  });
  const ended = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), START_DEADLINE_MS);
  const [message] = (await Promise.race([once(child, 'message'), ended.then(() => [null])])) as [{ address: string } | null];
  clearTimeout(timer);
  if (message === null || child.pid === undefined) throw new StartupError('The stand-in for Kafka cannot start.');
  return {
    address: message.address,
    pid: child.pid,
    ended,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

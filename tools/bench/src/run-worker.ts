import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { TaskName, Tasks, WorkerMessage } from './worker-tasks.ts';

const built = (name: string) => new URL(`../dist/${name}.js`, import.meta.url);

export interface WorkerOptions {
  signal: AbortSignal;
  /** Told how much is done. */
  onProgress?: (done: number) => void;
  /** Appends without the tree: only to see what it costs. */
  isWithoutTree?: boolean;
}

/** Has a task done in a process of its own. Rejects where that fails, and at once when the signal is aborted. */
export async function runWorker<Name extends TaskName>(
  name: Name,
  task: Tasks[Name]['task'],
  { signal, onProgress, isWithoutTree = false }: WorkerOptions,
): Promise<Tasks[Name]['result']> {
  const child = fork(built('worker'), [], {
    env: { PATH: process.env['PATH'] },
    execArgv: isWithoutTree ? ['--import', built('without-tree').href] : [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    detached: true,
    signal,
    killSignal: 'SIGKILL',
  });
  let complaints = '';
  child.stderr?.on('data', (chunk: Buffer) => (complaints = (complaints + chunk.toString()).slice(-8_192)));
  let answer: { result: Tasks[Name]['result'] } | undefined;
  child.on('message', (message: WorkerMessage) => {
    if ('done' in message) onProgress?.(message.done);
    else answer = message as { result: Tasks[Name]['result'] };
  });
  child.send({ name, ...task });
  await once(child, 'close');
  if (answer === undefined) throw new Error(`The worker failed to ${name}: ${complaints.trim()}`);
  return answer.result;
}

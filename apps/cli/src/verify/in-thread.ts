import { Worker } from 'node:worker_threads';
import type { ChainsState, Elsewhere } from '@kms/evidence';

/** A thread is worth while from so many records on: it takes as long to start as some ten thousand take. */
const LEAST = 65_536;

/** Verifies a part of the pack in that folder in a thread of its own. */
export function inThread(path: string, least = LEAST): Elsewhere {
  return {
    least,
    verify: (part, signal) =>
      new Promise<ChainsState | null>((resolve) => {
        const worker = new Worker(new URL('./verify-part.worker.js', import.meta.url), { workerData: { path, part }, execArgv: [] });
        worker.once('message', resolve);
        worker.once('error', () => resolve(null));
        worker.once('exit', () => resolve(null));
        signal.addEventListener('abort', () => void worker.terminate(), { once: true });
      }),
  };
}

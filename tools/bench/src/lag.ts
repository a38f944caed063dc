import { setTimeout as pause } from 'node:timers/promises';
import type { Bench } from './bench.ts';
import { revealOnce } from './entries.ts';
import { percentile } from './percentile.ts';

const POLL_MS = 1;
/** A record that is not there after so long, in milliseconds, is an error. */
const PATIENCE_MS = 60_000;

/** From a reveal's answer until the ledger has its record, in milliseconds: probes one after another until `isOver`. */
export async function measureLag(
  bench: Bench,
  handler: string,
  isOver: (probes: number) => boolean,
): Promise<{ p50: number; p99: number }> {
  const times: number[] = [];
  while (!isOver(times.length)) times.push(await probe(bench, handler));
  times.sort((a, b) => a - b);
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}

async function probe({ suite, counts, signal }: Bench, handler: string): Promise<number> {
  const { writer, sequence } = await revealOnce(suite, handler, signal);
  const begin = performance.now();
  while (!(await counts.holds(writer, sequence))) {
    if (performance.now() - begin > PATIENCE_MS) throw new Error(`Record ${sequence} of ${writer} did not come to the ledger.`);
    await pause(POLL_MS, undefined, { signal });
  }
  return performance.now() - begin;
}

import { setTimeout as pause } from 'node:timers/promises';
import { drive, type Bench } from './bench.ts';
import { revealOnce } from './entries.ts';
import { percentile } from './percentile.ts';
import type { LedgerFigures } from './result.ts';

const POLL_MS = 1;
/** A record that is not there after so long, in milliseconds, is an error. */
const PATIENCE_MS = 60_000;

export interface LagSettings {
  handler: string;
  /** How many connections reveal while the lag under load is measured. */
  connections: number;
  /** How often the lag is measured while nothing else runs. */
  probes: number;
}

/** From a reveal's answer until the ledger has its record: one reveal after another, first alone, then beside a load. */
export async function measureLags(
  bench: Bench,
  { handler, connections, probes }: LagSettings,
): Promise<Pick<LedgerFigures, 'lagMsP50' | 'lagMsP99' | 'idleLagMsP50' | 'idleLagMsP99'>> {
  bench.say('Measuring the lag of the ledger.');
  await bench.counts.untilCaughtUp(bench.signal);
  const idle = await measureLag(bench, handler, (done) => done >= probes);
  let isOver = false;
  const load = drive(bench, { method: 'GET', path: `/kms/reveal/${handler}.json`, connections }, bench.seconds);
  const ended = load.finally(() => (isOver = true));
  const [busy] = await Promise.all([measureLag(bench, handler, () => isOver), ended]);
  return { lagMsP50: busy.p50, lagMsP99: busy.p99, idleLagMsP50: idle.p50, idleLagMsP99: idle.p99 };
}

async function measureLag(bench: Bench, handler: string, isOver: (probes: number) => boolean): Promise<{ p50: number; p99: number }> {
  const times: number[] = [];
  while (!isOver(times.length)) times.push(await probe(bench, handler));
  times.sort((one, other) => one - other);
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

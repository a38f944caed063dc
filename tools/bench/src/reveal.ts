import { measure, type Bench, type Measured } from './bench.ts';
import { readMemory } from './processes.ts';
import type { RevealLine } from './result.ts';

/** What is revealed: one handler, or `name-{n}` for a number of entries. */
export interface Revealed {
  handler: string;
  revealed: number;
  contentBytes: number;
}

/** Drives reveals and answers what one costs. */
export async function measureReveals(
  bench: Bench,
  { handler, revealed, contentBytes }: Revealed,
  connections: number,
): Promise<{ line: RevealLine; measured: Measured }> {
  const { suite, counts, say } = bench;
  await counts.untilCaughtUp(bench.signal);
  const [records, entries] = [await counts.held(), await counts.entries()];
  const numbers = revealed > 1 ? { numbers: { first: 0, count: revealed, order: 'random' as const } } : {};
  const measured = await measure(bench, { method: 'GET', path: `/kms/reveal/${handler}.json`, connections, ...numbers });
  const { perSecond, cpuMs, ...load } = measured.load;
  say(`reveal, ${connections} connections, ${records} records, ${entries} entries, ${contentBytes} bytes: ${Math.round(perSecond)}/s`);
  const line = { ...load, revealsPerSecond: perSecond, cpuMsPerReveal: cpuMs, records, entries, revealed, contentBytes };
  return { line: { ...line, instances: suite.settings.instances, memory: readMemory(suite) }, measured };
}

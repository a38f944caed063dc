import type { Generator, Requests } from './generator.ts';
import { Counts } from './counts.ts';
import { readCpu, type PerPart } from './processes.ts';
import type { CpuMs, Load } from './result.ts';
import type { Suite } from './suite.ts';

/** What every measurement needs. */
export interface Bench {
  suite: Suite;
  counts: Counts;
  generator: Generator;
  /** How long a load lasts. */
  seconds: number;
  signal: AbortSignal;
  /** Tells a person how far it is. */
  say: (line: string) => void;
}

/** A load as it was measured, and what the ledger did meanwhile. */
export interface Measured {
  load: Load;
  /** Records that came into the ledger during the load. */
  arrived: number;
  seconds: number;
  succeeded: number;
}

type Asked = Pick<Requests, 'method' | 'path' | 'body' | 'numbers' | 'connections'>;

/** Drives a load against all gateways, once the ledger has everything of before it. */
export async function measure(bench: Bench, asked: Asked, seconds = bench.seconds): Promise<Measured> {
  const { suite, counts } = bench;
  await counts.untilCaughtUp(bench.signal);
  const [journaled, held] = [await counts.journaled(), await counts.held()];
  const before = readCpu(suite);
  const answers = await drive(bench, asked, seconds);
  const after = readCpu(suite);
  const arrived = (await counts.held()) - held;
  const { succeeded, refused, broken, p50Ms, p99Ms, maxMs } = answers;
  const unrecorded = succeeded - ((await counts.journaled()) - journaled);
  const failures = [
    ...(refused > 0 ? [`${refused} answers were no success`] : []),
    ...(broken > 0 ? [`${broken} requests had no answer`] : []),
    ...(unrecorded > 0 ? [`${unrecorded} answers have no record in the journal`] : []),
    ...(succeeded === 0 ? ['nothing was answered'] : []),
    ...(suite.failure === undefined ? [] : [suite.failure]),
  ];
  const perSecond = succeeded / answers.seconds;
  const load = { connections: asked.connections, perSecond, p50Ms, p99Ms, maxMs, cpuMs: cpuMsPer(succeeded, before, after), failures };
  return { load, arrived, seconds: answers.seconds, succeeded };
}

/** A load without a look at what it costs. */
export function drive({ suite, generator, signal }: Bench, asked: Asked, seconds: number) {
  const path = `/2026-02-01${asked.path}`;
  return generator.run({ ...asked, path, gateways: suite.gateways, apiKey: suite.apiKey, seconds }, signal);
}

type Cpu = PerPart & { generator: number };

function cpuMsPer(count: number, before: Cpu, after: Cpu): CpuMs {
  // What ends during the load moves from one account to another, which may make a tiny one negative.
  const of = (part: keyof Cpu) => Math.max(0, (after[part] - before[part]) / 1e6 / Math.max(1, count));
  return {
    gateway: of('gateway'),
    vault: of('vault'),
    postgres: of('gatewayPostgres') + of('vaultPostgres'),
    audit: of('audit'),
    broker: of('broker'),
    generator: of('generator'),
    ledgerPostgres: of('auditPostgres'),
    sharedPostgres: of('sharedPostgres'),
  };
}

import { readFileSync } from 'node:fs';
import { StartupError } from '@kms/platform';
import { Result, type Machine, type RevealLine, type Yardstick } from './result.ts';

const HOUR_MS = 3_600_000;

/** Reads an earlier run's file. Throws StartupError where it is none. */
export function readEarlier(file: string): Result {
  try {
    return Result.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StartupError(`The earlier run ${file} cannot be read: ${code ?? 'it is not a file that --out wrote'}.`, { cause: error });
  }
}

/** Throws StartupError where the earlier run is of another machine: its figures say nothing about this one. */
export function assertSameMachine(now: Machine, earlier: Machine): void {
  const other = (['cores', 'model', 'memoryBytes'] as const).find((name) => now[name] !== earlier[name]);
  if (other !== undefined)
    throw new StartupError(`The earlier run is of another machine: its ${other} is ${earlier[other]}, here it is ${now[other]}.`);
}

/** What makes the ratios doubtful, each as a sentence. */
export function doubts(now: Machine, earlier: Machine): string[] {
  const age = Date.parse(now.startedAt) - Date.parse(earlier.startedAt);
  return [
    ...(Math.abs(age) > HOUR_MS
      ? [`The earlier run is ${Math.round(Math.abs(age) / 60_000)} minutes away: a shared machine may have been another one then.`]
      : []),
    ...(['broker', 'generator', 'node', 'system'] as const)
      .filter((name) => now[name] !== earlier[name])
      .map((name) => `The earlier run had another ${name}: ${earlier[name]}, now ${now[name]}.`),
  ];
}

/** CPU milliseconds of a bare answer: the mean of the two looks at it. */
export const bareCpu = ({ cpuMsBefore, cpuMsAfter }: Yardstick) => (cpuMsBefore + cpuMsAfter) / 2;

/** How much the machine itself differs, as a sentence: what is left of a ratio of CPU beyond this is the code's. */
export function machineDifference({ yardstick: now }: Machine, { yardstick: earlier }: Machine): string {
  if (now === undefined || earlier === undefined)
    return 'How much the machine itself differs is not known: only runs with reveals by 64 connections have a yardstick.';
  return `The machine itself: a bare node:http answer takes ${(bareCpu(now) / bareCpu(earlier)).toFixed(2)} times the CPU that it took then.`;
}

export interface Ratio {
  line: RevealLine;
  /** This run's figure divided by the earlier one's. */
  revealsPerSecond: number;
  p99: number;
  /** Of gateway, vault and their PostgreSQL. */
  cpu: number;
}

/** The ratios of the lines that both runs have. */
export function ratios(now: Result, earlier: Result): Ratio[] {
  return now.reveal.flatMap((line) => {
    const other = counterpart(line, earlier.reveal);
    if (other === undefined) return [];
    const revealsPerSecond = line.revealsPerSecond / other.revealsPerSecond;
    return [{ line, revealsPerSecond, p99: line.p99Ms / other.p99Ms, cpu: servingCpu(line) / servingCpu(other) }];
  });
}

/** The same load in another run. Two runs never have the same number of records: the nearest one counts, unless it is far off. */
function counterpart(line: RevealLine, others: readonly RevealLine[]): RevealLine | undefined {
  const apart = ({ records }: RevealLine) => Math.abs(Math.log10(Math.max(1, records) / Math.max(1, line.records)));
  const alike = others.filter((other) => loadOf(other) === loadOf(line) && apart(other) < 2);
  return alike.sort((one, other) => apart(one) - apart(other))[0];
}

const loadOf = ({ connections, entries, revealed, contentBytes, instances }: RevealLine) =>
  [connections, Math.round(Math.log10(Math.max(1, entries))), revealed, contentBytes, instances].join('/');

/** Gateway, vault and their PostgreSQL: what the aim of 0.10 CPU milliseconds a reveal is about. */
export const servingCpu = ({ cpuMsPerReveal: { gateway, vault, postgres } }: RevealLine) => gateway + vault + postgres;

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { assertSameMachine, doubts, machineDifference, ratios } from './against.ts';
import { toMarkdown } from './markdown.ts';
import { percentile } from './percentile.ts';
import { PARTS } from './processes.ts';
import { Result, type Machine, type RevealLine } from './result.ts';
import { parseWrk } from './wrk.ts';

const CPU = {
  gateway: 0.03,
  vault: 0.03,
  postgres: 0.04,
  audit: 0.02,
  broker: 0.01,
  generator: 0.01,
  ledgerPostgres: 0.02,
  sharedPostgres: 0,
};

const line = (changes: Partial<RevealLine> = {}): RevealLine => ({
  connections: 64,
  revealsPerSecond: 10_000,
  p50Ms: 4,
  p99Ms: 10,
  maxMs: 20,
  cpuMsPerReveal: CPU,
  records: 1_000_002,
  entries: 10,
  revealed: 1,
  contentBytes: 40,
  instances: 1,
  memory: Object.fromEntries(PARTS.map((part) => [part, { rssBytes: 1, pssBytes: 1 }])) as RevealLine['memory'],
  failures: [],
  ...changes,
});

const machine: Machine = {
  cores: 2,
  model: 'a model',
  memoryBytes: 2 ** 34,
  system: 'Linux 6',
  node: '20.20.0',
  broker: 'apache',
  generator: 'wrk',
  startedAt: '2026-03-01T12:00:00.000Z',
};

const result = (reveal: RevealLine[]): Result => ({ reveal, ledger: null, calls: [], ledgerCosts: null, machine });

describe('what wrk says', () => {
  const said = (summary: object) => `Running 1s test\n  Latency 1ms\n\n${JSON.stringify(summary)}\n`;
  const summary = { answers: 1_000, durationUs: 2_000_000, p50Us: 512, p99Us: 4_999, maxUs: 12_345, refused: 0, broken: 0 };

  it('is read to the microsecond', () => {
    const expected = { succeeded: 1_000, seconds: 2, p50Ms: 0.512, p99Ms: 4.999, maxMs: 12.345, refused: 0, broken: 0 };
    expect(parseWrk(said(summary))).toEqual(expected);
  });

  it('counts an answer that is no success apart', () => {
    expect(parseWrk(said({ ...summary, refused: 3, broken: 2 }))).toMatchObject({ succeeded: 997, refused: 3, broken: 2 });
  });

  it('is refused where it is cut off, or another text', () => {
    expect(() => parseWrk('unable to connect to 127.0.0.1:1')).toThrow('unable to connect');
    expect(() => parseWrk(said(summary).slice(0, -20))).toThrow();
    expect(() => parseWrk(said({ ...summary, answers: -1 }))).toThrow();
  });
});

describe('a percentile', () => {
  it('is the smallest value that so many are not above', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), fc.constantFrom(0.01, 0.5, 0.99, 1), (values, part) => {
        const sorted = values.toSorted((a, b) => a - b);
        const expected = sorted.find((value) => sorted.filter((other) => other <= value).length >= part * sorted.length);
        expect(percentile(sorted, part)).toBe(expected);
      }),
    );
    expect(percentile([], 0.5)).toBe(0);
  });
});

describe('two runs', () => {
  it('are compared line by line, where they have the same load', () => {
    const slow = line({ revealsPerSecond: 5_000, p99Ms: 20, records: 999_990, cpuMsPerReveal: { ...CPU, gateway: 0.13 } });
    const others = [line({ connections: 1 }), line({ contentBytes: 65_536 }), line({ records: 10 }), line({ instances: 2 })];
    const found = ratios(result([line()]), result([...others, slow]));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ revealsPerSecond: 2, p99: 0.5 });
    expect(found[0]?.cpu).toBeCloseTo(0.5);
    expect(ratios(result([line()]), result(others))).toEqual([]);
  });

  it('are not compared where they are of different machines', () => {
    expect(() => assertSameMachine(machine, { ...machine, startedAt: '2026-03-01T11:00:00.000Z' })).not.toThrow();
    for (const other of [{ cores: 4 }, { model: 'another' }, { memoryBytes: 1 }])
      expect(() => assertSameMachine(machine, { ...machine, ...other })).toThrow(/^The earlier run is of another machine: its /);
  });

  it('are doubted where an hour or a part of them differs', () => {
    expect(doubts(machine, { ...machine, startedAt: '2026-03-01T11:00:01.000Z' })).toEqual([]);
    expect(doubts(machine, { ...machine, startedAt: '2026-03-01T10:59:00.000Z' })).toEqual([expect.stringContaining('61 minutes')]);
    expect(doubts(machine, { ...machine, broker: 'stand-in', generator: 'autocannon' })).toHaveLength(2);
  });
});

describe('the yardstick', () => {
  const measured = { ...machine, yardstick: { cpuMsBefore: 0.04, cpuMsAfter: 0.06 } };
  const run = { ...result([line()]), machine: measured };

  it('is printed, and serving as a multiple of the mean of both looks', () => {
    const text = toMarkdown(run, null);
    expect(text).toContain('took 40 µs before the reveals by 64 connections and 60 after');
    expect(text).toContain('| 100 | 2.0 |');
    expect(toMarkdown(result([line()]), null)).toContain('| 100 | – |');
  });

  it('says how much the machine itself differs from that of an earlier run', () => {
    const earlier = { ...measured, yardstick: { cpuMsBefore: 0.02, cpuMsAfter: 0.02 } };
    expect(toMarkdown(run, { ...run, machine: earlier })).toContain('takes 2.50 times the CPU');
    for (const [now, then] of [
      [machine, measured],
      [measured, machine],
    ] as const)
      expect(machineDifference(now, then)).toContain('is not known');
  });

  it('is in the file, and an earlier file without it is read', () => {
    expect(Result.parse(JSON.parse(JSON.stringify(run)))).toEqual(run);
    expect(Result.safeParse({ ...run, machine: { ...machine, yardstick: { cpuMsBefore: 0.04 } } }).success).toBe(false);
  });
});

describe('the file of a run', () => {
  it('has the members that are promised, and is read as it was written', () => {
    const written = JSON.parse(JSON.stringify(result([line()]))) as Result;
    expect(Result.parse(written)).toEqual(result([line()]));
    expect(written.reveal[0]).toMatchObject({
      connections: 64,
      revealsPerSecond: 10_000,
      p50Ms: 4,
      p99Ms: 10,
      records: 1_000_002,
      entries: 10,
    });
    const promised = ['gateway', 'vault', 'postgres', 'audit', 'broker', 'generator'];
    expect(Object.keys(written.reveal[0]?.cpuMsPerReveal ?? {})).toEqual(expect.arrayContaining(promised));
  });

  it('is refused where a figure is missing or none', () => {
    for (const name of ['p50Ms', 'cpuMsPerReveal', 'records'])
      expect(Result.safeParse(result([{ ...line(), [name]: undefined }])).success).toBe(false);
    expect(Result.safeParse(result([line({ p99Ms: -1 })])).success).toBe(false);
    expect(Result.safeParse(result([line({ p99Ms: NaN })])).success).toBe(false);
  });
});

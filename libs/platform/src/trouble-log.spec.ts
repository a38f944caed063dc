import { beforeEach, describe, expect, it } from '@jest/globals';
import { TroubleLog } from './trouble-log.ts';

let now: number;
let lines: string[];
let log: TroubleLog;

const note = (level: string) => (fields: { failures: number }, sentence: string) => lines.push(`${level} ${sentence} ${fields.failures}`);
const fail = (times: number) => {
  for (let time = 0; time < times; time += 1) log.failed(new Error('away'));
};

beforeEach(() => {
  now = 0;
  lines = [];
  const logger = { warn: note('warn'), error: note('error'), info: note('info') } as never;
  log = new TroubleLog({ logger, level: 'error', trouble: 'away', over: 'back', now: () => now });
});

describe('a trouble', () => {
  it('is told at once, then every five seconds with its count, and once when it is over', () => {
    fail(1);
    expect(lines).toEqual(['error away 1']);
    now = 4_999;
    fail(49);
    expect(lines).toHaveLength(1);
    now = 5_000;
    fail(1);
    fail(2);
    log.worked();
    log.worked();
    expect(lines).toEqual(['error away 1', 'error away 50', 'info back 2']);
  });

  it('that comes and goes does not fill the log, and loses no count', () => {
    for (let time = 0; time < 10; time += 1) {
      fail(1);
      log.worked();
    }
    expect(lines).toEqual(['error away 1', 'info back 0']);
    now = 5_000;
    fail(1);
    expect(lines.at(-1)).toBe('error away 10');
  });

  it('that never was is not over', () => {
    log.worked();
    expect(lines).toEqual([]);
  });
});

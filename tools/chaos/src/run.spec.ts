import { describe, expect, it } from '@jest/globals';
import type { Fault } from './fault.ts';
import { chosen, fromSeed, judgeStrike, order } from './run.ts';

const fault = (name: string, count: number): Fault => ({ name, count, lacks: () => null, strike: async () => undefined, mayRefuse: false });
const FAULTS = [fault('a', 3), fault('b', 1), fault('c', 2)];
const names = (strikes: Iterable<Fault>) => [...strikes].map(({ name }) => name);

describe('faults', () => {
  it.each([
    [['kill'], ['kill a', 'kill a at b', 'kill c']],
    [['kill a'], ['kill a']],
    [
      ['at b', 'kill c'],
      ['kill a at b', 'kill c'],
    ],
    [['none'], []],
    [undefined, ['kill a', 'kill a at b', 'kill c', 'end']],
  ])('are chosen by a whole name or by a part of names: %j', (only, expected) => {
    const faults = ['kill a', 'kill a at b', 'kill c', 'end'].map((name) => fault(name, 1));
    expect(names(chosen(faults, only))).toEqual(expected);
  });
});

describe('strikes', () => {
  it('by the counts come one fault after the other, as often as each says', () => {
    expect(names(order(FAULTS, { kind: 'counts', each: null }, fromSeed(1)))).toEqual(['a', 'a', 'a', 'b', 'c', 'c']);
  });

  it('by a number come that often', () => {
    expect(names(order(FAULTS, { kind: 'counts', each: 2 }, fromSeed(1)))).toEqual(['a', 'a', 'b', 'b', 'c', 'c']);
  });

  it('for a time come once each at least, in an order of the seed', () => {
    const once = names(order(FAULTS, { kind: 'duration', durationMs: 0 }, fromSeed(1)));
    expect([...once].sort()).toEqual(['a', 'b', 'c']);
    expect(names(order(FAULTS, { kind: 'duration', durationMs: 0 }, fromSeed(1)))).toEqual(once);
  });

  it('for a time go on until it is over', () => {
    let now = 0;
    expect(names(order(FAULTS, { kind: 'duration', durationMs: 10 }, fromSeed(1), () => now++)).length).toBeGreaterThan(3);
  });
});

describe('a strike', () => {
  const failed = { failedTwice: ['unknown, then unavailable'], refusals: [] };

  it('that excuses no request may not cost one', () => {
    expect(judgeStrike({ name: 'a', mayRefuse: false }, failed)).toEqual([
      expect.stringMatching(/^a: 1 requests failed .*then unavailable/),
    ]);
    expect(judgeStrike({ name: 'a', mayRefuse: true }, failed)).toEqual([]);
  });

  it('that says how reveals are refused may not see them refused otherwise', () => {
    const fault = { name: 'a', mayRefuse: true, refusal: 'Audit is unavailable' };
    const seen = (sentence: string) => judgeStrike(fault, { failedTwice: [], refusals: [[sentence, 2]] });
    expect([seen('Audit is unavailable'), seen('The vault is unavailable').length]).toEqual([[], 1]);
  });
});

import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Standing } from '@kms/journal';
import { TailWatch } from './tail-watch.ts';

let now: number;
let watch: TailWatch;

const standing = (writer: string, sent: number, acknowledged: number, last: number | null = null): Standing => ({
  writer,
  sent,
  acknowledged,
  last,
});
const commit = (writer: string, firstSequence: number, lastSequence: number, at: number) => {
  now = at;
  watch.committed({ writer, firstSequence, lastSequence });
};

beforeEach(() => {
  now = 0;
  watch = new TailWatch(() => now);
});

describe('the tail of a journal', () => {
  it('is counted from the oldest event that is not sent, and from the oldest that the ledger does not hold', () => {
    commit('a', 1, 10, 0);
    commit('a', 11, 20, 1_000);
    commit('a', 21, 30, 2_000);
    now = 5_000;
    expect(watch.look([standing('a', 20, 10)])).toEqual({ events: 20, unsent: 10, relayLag: 3, ledgerLag: 4 });
    expect(watch.look([standing('a', 30, 30)])).toEqual({ events: 0, unsent: 0, relayLag: 0, ledgerLag: 0 });
  });

  it('is never told younger than it is, however many commits there were', () => {
    for (let index = 0; index < 5_000; index += 1) commit('a', index + 1, index + 1, index * 100);
    const { ledgerLag } = watch.look([standing('a', 5_000, 2_500)]);
    expect(ledgerLag).toBeGreaterThanOrEqual((now - 2_500 * 100) / 1_000);
    expect(ledgerLag).toBeLessThan((now - 2_500 * 100) / 1_000 + 10);
  });

  it('counts on while a lost writer is on its way back as an orphan, and no more once it is done', () => {
    commit('a', 1, 10, 0);
    watch.look([standing('a', 4, 2)]);
    commit('b', 1, 1, 3_000);
    now = 4_000;
    expect(watch.look([standing('b', 1, 1)])).toEqual({ events: 8, unsent: 6, relayLag: 4, ledgerLag: 4 });
    expect(watch.look([standing('a', 10, 2, 10), standing('b', 1, 1)])).toMatchObject({ events: 8, unsent: 0, ledgerLag: 4 });
    expect(watch.look([standing('b', 1, 1)])).toMatchObject({ events: 0, ledgerLag: 0 });
  });

  it('forgets a lost writer that another process has taken over', () => {
    commit('a', 1, 10, 0);
    commit('b', 1, 1, 1_000);
    now = 40_000;
    expect(watch.look([standing('b', 1, 1)])).toMatchObject({ events: 0, ledgerLag: 0 });
  });

  it('takes in what another process left behind, from the moment that it is here', () => {
    now = 1_000;
    expect(watch.look([standing('o', 5, 5, 9)])).toEqual({ events: 4, unsent: 4, relayLag: 0, ledgerLag: 0 });
    now = 3_000;
    expect(watch.look([standing('o', 5, 5, 9)])).toMatchObject({ events: 4, ledgerLag: 2 });
  });
});

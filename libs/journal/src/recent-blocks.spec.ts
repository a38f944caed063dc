import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RecentBlocks } from './recent-blocks.ts';

const MIB = 1024 * 1024;

/** Blocks of one writer that follow one another, each of so many events and bytes. */
function blocksOf(sizes: readonly { count: number; bytes: number }[]) {
  let last = 0;
  return sizes.map(({ count, bytes }) => {
    const firstSequence = last + 1;
    last += count;
    return { writer: 'writer', firstSequence, lastSequence: last, events: Buffer.alloc(bytes) };
  });
}

describe('recent blocks', () => {
  it('answer a run without a gap from the sequence asked for, or say that the journal must be read', () => {
    const size = fc.record({ count: fc.integer({ min: 1, max: 5 }), bytes: fc.integer({ min: 1, max: 3 * MIB }) });
    fc.assert(
      fc.property(fc.array(size, { maxLength: 8 }), fc.nat(45), fc.integer({ min: 1, max: 4 * MIB }), (sizes, sequence, maxBytes) => {
        const blocks = blocksOf(sizes);
        const recent = new RecentBlocks();
        for (const block of blocks) recent.add(block);
        const wanted = blocks.filter(({ lastSequence }) => lastSequence > sequence);
        const answer = recent.after(sequence, maxBytes);
        if (answer === null) return void expect(blocks.reduce((sum, { events }) => sum + events.length, 0)).toBeGreaterThan(8 * MIB);
        expect(answer).toEqual(wanted.slice(0, answer.length));
        expect(answer.length === 0).toBe(wanted.length === 0);
        const bytes = answer.reduce((sum, { events }) => sum + events.length, 0);
        expect(answer.length <= 1 || bytes <= maxBytes).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it('do not answer again what was passed, so that a resend reads the journal', () => {
    const recent = new RecentBlocks();
    const [first, second] = blocksOf([
      { count: 2, bytes: 10 },
      { count: 2, bytes: 10 },
    ]);
    recent.add(first as never);
    recent.add(second as never);
    expect(recent.after(0, MIB)).toEqual([first, second]);
    expect(recent.after(2, MIB)).toEqual([second]);
    expect(recent.after(4, MIB)).toEqual([]);
    expect(recent.after(0, MIB)).toBeNull();
  });
});

import { describe, expect, it } from '@jest/globals';
import { nodeSha256 } from '@kms/merkle';
import fc from 'fast-check';
import { makeRecords, seeded } from '@kms/testing/made-log';
import { readRecord, type RecordFacts } from './read-record.ts';
import { WriterChains } from './writer-chains.ts';

const SIZE = 60;
const given = makeRecords(SIZE, seeded(5), { writers: 2 }).map((bytes) => ({ bytes, facts: readRecord(bytes) }));
type Given = (typeof given)[number];

function follow(records: readonly Given[], maxRuns?: number): WriterChains {
  const chains = new WriterChains(nodeSha256, maxRuns);
  records.forEach(({ bytes, facts }, index) => chains.add(index, facts, bytes));
  return chains;
}

const changed = (at: number, facts: Partial<RecordFacts>) =>
  given.map((own, index) => (index === at ? { ...own, facts: { ...own.facts, ...facts } } : own));

describe('the chains of a log’s writers', () => {
  it('are checked link by link in whatever order the records come, and holes are counted', () => {
    const subset = fc.shuffledSubarray(given, { minLength: 1 });
    fc.assert(
      fc.property(subset, (records) => {
        const chains = follow(records);
        const numbers = (writer: string) => records.filter(({ facts }) => facts.writer === writer).map(({ facts }) => facts.sequence);
        for (const { writer, ...report } of chains.reports()) {
          const own = numbers(writer);
          const [first, last] = [Math.min(...own), Math.max(...own)];
          expect(report).toEqual({ records: own.length, first, last, holes: last - first + 1 - own.length });
        }
        const place = ({ facts }: Given) => `${facts.writer}/${facts.sequence}`;
        const places = new Set(records.map(place));
        const links = records.filter(({ facts }) => places.has(`${facts.writer}/${facts.sequence - 1}`)).length;
        expect([chains.links, chains.unchecked]).toEqual([links, 0]);
      }),
    );
  });

  it('refuse a number that comes twice, wherever it does', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(given, { minLength: 1 }), fc.nat(), (records, at) => {
        const twice = [...records, records[at % records.length] as Given];
        expect(() => follow(twice)).toThrow(
          expect.objectContaining({ code: 'duplicate-record', record: { index: records.length, id: expect.any(String) } }),
        );
      }),
    );
  });

  it('refuse a record that does not fit its neighbours, whichever came first', () => {
    fc.assert(
      fc.property(fc.integer({ min: 4, max: SIZE - 1 }), fc.boolean(), (at, backwards) => {
        const records = changed(at, { previousHash: new Uint8Array(32).fill(0xee) });
        expect(() => follow(backwards ? records.reverse() : records)).toThrow(expect.objectContaining({ code: 'broken-chain' }));
      }),
    );
  });

  it.each([
    ['begins with a hash', { sequence: 1, previousHash: new Uint8Array(32).fill(0xee) }],
    ['has zeros in the middle', { sequence: 9, previousHash: new Uint8Array(32) }],
  ])('refuse a chain that %s', (_, facts) => {
    const [first] = changed(0, facts) as [Given];
    expect(() => follow([first])).toThrow(expect.objectContaining({ code: 'broken-chain' }));
  });

  it('forget what is long ago where there is too much, say of what comes so late that it was not checked, and go on checking', () => {
    const [only] = [given[0]?.facts.writer];
    const own = given.filter(({ facts }) => facts.writer === only);
    const odd = own.filter((_, at) => at % 2 === 0);
    const even = own.filter((_, at) => at % 2 === 1);
    const chains = follow([...odd, ...even], 12);
    expect(chains.unchecked).toBeGreaterThan(0);
    expect(chains.unchecked).toBeLessThan(even.length);
    expect(chains.links).toBeGreaterThan(0);
    expect(follow(own, 5).links).toBe(own.length - 1);
  });
});

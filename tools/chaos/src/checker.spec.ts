import { beforeEach, describe, expect, it } from '@jest/globals';
import { check, type ClientLine, type Evidence, type LedgerRecord } from './checker.ts';

type Draft = { -readonly [Part in keyof Evidence]: Evidence[Part][number][] };

const line = (requestId: string, outcome: ClientLine['outcome'], receipt: string | null = null): ClientLine => ({
  requestId,
  action: 'reveal',
  outcome,
  receipt,
});
const record = (sequence: number, requestId: string | null, outcome: string): LedgerRecord => ({
  writer: 'w',
  sequence,
  hash: `hash ${sequence}`,
  id: `id-${sequence}`,
  requestId,
  action: 'reveal',
  outcome,
  chain: `chain ${sequence}`,
});

let evidence: Draft;

beforeEach(() => {
  const ledger = [record(1, 'a', 'success'), record(2, 'b', 'denied'), record(3, null, 'success')];
  const found = ledger.map(({ writer, sequence, hash }) => ({ writer, sequence, hash }));
  const client = [
    line('a', 'done', 'id-1; writer=w; sequence=1; hash=chain 1'),
    line('b', 'denied'),
    line('c', 'unavailable'),
    line('d', 'unknown'),
  ];
  evidence = { client, journal: found, brokenChains: [], topic: found.slice(0, 1), ledger, brokenTrees: [], refusedLogs: [] };
});

const violations = () => check(evidence as Evidence).violations;

describe('the checker', () => {
  it('finds nothing where every record is in its place', () => {
    expect(check(evidence as Evidence)).toEqual({
      violations: [],
      counts: { done: 1, denied: 1, unavailable: 1, unknown: 1, wrong: 0, events: 3, undelivered: 0, undeliveredUnknown: 0 },
    });
  });

  it('counts the records whose answers were not delivered', () => {
    evidence.client[0] = line('a', 'unknown');
    expect(check(evidence as Evidence)).toMatchObject({ violations: [], counts: { unknown: 2, undelivered: 1, undeliveredUnknown: 1 } });
  });

  const faults: [what: string, change: () => void, expected: RegExp][] = [
    ['a reveal without a record', () => evidence.client.push(line('e', 'done')), /Request e .* has 0 records/],
    ['a reveal with a refusal’s record', () => void (evidence.client[1] = line('b', 'done')), /Request b .* 0 of them success/],
    ['a refusal without a record', () => evidence.client.push(line('e', 'denied')), /Request e .* has 0 records/],
    [
      'a receipt of another chain',
      () => void (evidence.client[0] = line('a', 'done', 'id-1; writer=w; sequence=1; hash=chain 2')),
      /a receipt/,
    ],
    ['a status that nobody should get', () => evidence.client.push(line('e', 'wrong')), /Request e .* a status that it should not get/],
    ['a request with two records', () => evidence.ledger.push(record(4, 'a', 'success')), /Request a .* has 2 records/],
    [
      'a reveal with the record of a change',
      () => void (evidence.ledger[0] = { ...record(1, 'a', 'success'), action: 'update' }),
      /Request a .* has the record of something else/,
    ],
    [
      'records that have no delivery and no request either',
      () => evidence.ledger.push(record(4, 'x', 'success')),
      /1 records have no delivery, and 0/,
    ],
    ['a request id that was used twice', () => evidence.client.push(line('c', 'unknown')), /1 request ids were used more than once/],
    ['a record of no request', () => evidence.ledger.push(record(4, 'x', 'success')), /Record id-4 is of no request/],
    ['an event that is in the ledger twice', () => evidence.ledger.push(record(3, null, 'success')), /w\/3 is in the ledger twice/],
    ['a committed event that is missing', () => void evidence.ledger.pop(), /w\/3 was committed and is not in the ledger/],
    ['a changed event', () => void (evidence.ledger[2] = { ...record(3, null, 'success'), hash: 'other' }), /not in the ledger as it was/],
    ['an event that nobody committed', () => void evidence.journal.pop(), /w\/3 is in the ledger and was never committed/],
    ['a message that is not what was committed', () => evidence.topic.push({ writer: 'w', sequence: 2, hash: 'other' }), /Message w\/2/],
    ['a broken chain', () => evidence.brokenChains.push('chain'), /chain/],
    ['a log that an auditor refuses', () => evidence.refusedLogs.push('refused'), /refused/],
    ['a broken tree', () => evidence.brokenTrees.push('tree'), /tree/],
  ];
  it.each(faults)('finds %s', (_what, change, expected) => {
    change();
    expect(violations().join('\n')).toMatch(expected);
  });
});

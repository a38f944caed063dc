import { beforeEach, describe, expect, it } from '@jest/globals';
import type pg from 'pg';
import { FixtureTopic, organization } from '../follow/topic.fixture.ts';
import { checkMessages, type LiveDatabases } from './check-topic.ts';

const OTHER = Buffer.from('no event');

/** What the databases hold, by what the questions ask for. */
let ledger: Map<string, Buffer>;
let journal: Map<string, Buffer>;
let parked: Buffer[];
let looks: number;
let event: Buffer;
let place: { writer: string; sequence: number };

type Query = LiveDatabases['ledger'];
const answering = (answer: (text: string, values: unknown[]) => unknown[]) =>
  ({ query: async (text: string, values: unknown[]) => ({ rows: answer(text, values) }) }) as unknown as Query;

const ledgerDatabase = answering((text, values) => {
  if (text.includes('parked_messages')) {
    const [, places, bytes] = values as [string, bigint[], (Buffer | null)[]];
    return places.filter((_, at) => !parked.some((value) => bytes[at]?.equals(value))).map((at) => ({ missing: String(at) }));
  }
  const [writers, sequences] = values as [string[], number[]];
  return writers.flatMap((writer, at) => {
    const bytes = ledger.get(`${writer}/${sequences[at]}`);
    return bytes === undefined ? [] : [{ place: at + 1, bytes }];
  });
});
const journalDatabase = answering((_text, [writer, sequence]) => {
  const bytes = journal.get(`${String(writer)}/${String(sequence)}`);
  if (bytes === undefined) return [];
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return [{ first: sequence, last: sequence, events: Buffer.concat([length, bytes]) }];
});

/** Looks twice at most for what is not parked. */
const check = (key: string | null, ...values: (Buffer | null)[]) =>
  checkMessages(
    {
      topic: 'topic',
      partition: 2,
      messages: values.map((value, at) => ({ offset: BigInt(at), key: key === null ? null : Buffer.from(key), value })),
      nextOffset: BigInt(values.length),
    },
    { ledger: ledgerDatabase, journals: [journalDatabase as pg.ClientBase] },
    async () => (looks += 1) < 2,
  );

beforeEach(() => {
  [ledger, journal, parked, looks] = [new Map(), new Map(), [], 0];
  event = new FixtureTopic().make(1, 1);
  const { writer, sequence } = JSON.parse(event.toString()) as { writer: string; sequence: string };
  place = { writer, sequence: Number(sequence) };
});
const held = (bytes = event) => new Map([[`${place.writer}/${place.sequence}`, bytes]]);

describe('a message on the topic', () => {
  it('is in order where the ledger, or else a journal, has it as it is', async () => {
    ledger = held();
    expect(await check(organization(1), event, event)).toBe(0);
    [ledger, journal] = [new Map(), held()];
    expect(await check(organization(1), event)).toBe(0);
  });

  it('is in order where it is parked, also a moment later', async () => {
    parked = [OTHER, event];
    expect(await check(organization(1), OTHER, event)).toBe(2);
    expect(looks).toBe(0);
  });

  it.each<[what: string, key: string | null, value: () => Buffer | null]>([
    ['nobody committed', organization(1), () => event],
    ['is no event', organization(1), () => OTHER],
    ['is empty', organization(1), () => null],
  ])('is named that %s and that is not parked', async (_what, key, value) => {
    await expect(check(key, value())).rejects.toThrow('The message at topic/2/0 is neither a committed event nor parked in the ledger.');
    expect(looks).toBe(2);
  });

  it('is named that says something else under a number that was committed, in the ledger or in a journal', async () => {
    const other = Buffer.from(event.toString().replace('"success"', '"denied"'));
    [ledger, journal] = [held(other), held()];
    await expect(check(organization(1), event)).rejects.toThrow(/is neither a committed event nor parked/);
    [ledger, journal] = [new Map(), held(other)];
    await expect(check(organization(1), event)).rejects.toThrow(/is neither a committed event nor parked/);
  });

  it.each([organization(2), null])('is named that was committed and is under another key: %s', async (key) => {
    ledger = held();
    await expect(check(key, event)).rejects.toThrow(/is neither a committed event nor parked/);
  });
});

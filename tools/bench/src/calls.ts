import { measure, type Bench } from './bench.ts';
import { entryBody } from './entries.ts';
import type { CallLine } from './result.ts';

type Call = Pick<Parameters<typeof measure>[1], 'method' | 'path' | 'body' | 'numbers'>;

/** How many of a call are under way at once. */
const CONNECTIONS = 16;
/** Names that no other load uses. */
const WRITTEN_FROM = 10_000_000;

const ENTRY_READS: Readonly<Record<string, Call>> = {
  'list, 100 a page': { method: 'GET', path: '/kms.json' },
  'list, 10 a page': { method: 'GET', path: '/kms.json?size=10' },
  configuration: { method: 'GET', path: '/kms/bench-0.json' },
};

const AUDIT_READS: Readonly<Record<string, Call>> = {
  'audit records, newest 10': { method: 'GET', path: '/audit.json?size=10' },
  'audit records of a handler, newest 10': { method: 'GET', path: '/audit.json?handler=bench-1&size=10' },
  'audit records refused, newest 10': { method: 'GET', path: '/audit.json?outcome=denied&size=10' },
  checkpoint: { method: 'GET', path: '/audit/checkpoint' },
};

const WRITES: Readonly<Record<string, Call>> = {
  create: {
    method: 'POST',
    path: '/kms.json',
    body: entryBody('written-{n}', 40),
    numbers: { first: WRITTEN_FROM, count: WRITTEN_FROM, order: 'ascending' },
  },
  // Of one entry, and so one after another.
  'rotate one entry': {
    method: 'POST',
    path: '/kms/bench-9/versions.json',
    body: JSON.stringify({ kmsEntry: { content: 'x'.repeat(40) } }),
  },
};

/** Neither the gateway nor the vault knows the entry yet. Of the last ones of so many: the first ones are known from before. */
export const measureFirstReveals = (bench: Bench, entries: number) =>
  measureCalls(bench, {
    'reveal, an entry that is not in memory': {
      method: 'GET',
      path: '/kms/reveal/bench-{n}.json',
      numbers: { first: Math.floor(entries / 2), count: Math.ceil(entries / 2), order: 'ascending' },
    },
  });

export const measureEntryReads = (bench: Bench) => measureCalls(bench, ENTRY_READS);
export const measureAuditReads = (bench: Bench) => measureCalls(bench, AUDIT_READS);
export const measureWrites = (bench: Bench) => measureCalls(bench, WRITES);

async function measureCalls(bench: Bench, calls: Readonly<Record<string, Call>>): Promise<CallLine[]> {
  const lines: CallLine[] = [];
  for (const [name, call] of Object.entries(calls)) {
    await bench.counts.untilCaughtUp(bench.signal);
    const [records, entries] = [await bench.counts.held(), await bench.counts.entries()];
    const { load } = await measure(bench, { ...call, connections: CONNECTIONS });
    bench.say(`${name}, ${records} records, ${entries} entries: ${Math.round(load.perSecond)}/s`);
    lines.push({ name, records, entries, ...load });
  }
  return lines;
}

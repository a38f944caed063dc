import { describe, expect, it } from '@jest/globals';
import { buildBlock, chainHash, GENESIS, splitBlock, type Block } from '@kms/journal';
import { auditData, parseEvent, prepareEvent } from '@kms/contracts';
import { CompactRange, openCheckpoint, SHA256_TREE, type NodeId } from '@kms/merkle';
import fc from 'fast-check';
import { checkpointOf, organization, policyOf, writerId } from '../follow/topic.fixture.ts';
import { checkLog, type LogRecord, type LogSources } from './check-log.ts';
import { requireParked, type UncommittedRecord } from './check-parked.ts';
import { checkWriter, NOTHING_RETIRED, type WriterRecord } from './check-writer.ts';

const WRITER = writerId(1);
const ORGANIZATION = organization(1);

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

const revealed = (id: string) =>
  prepareEvent({
    id,
    source: '/vault',
    type: 'kms.secret.revealed.v1',
    time: '2026-01-01T00:00:00.000Z',
    data: auditData({ organizationId: ORGANIZATION, action: 'reveal', outcome: 'success', address: '2001:db8::1' }),
  });

/** A writer's blocks, each of as many events as is told. */
function journalOf(sizes: readonly number[]): Block[] {
  let head = { sequence: 0, hash: GENESIS };
  return sizes.map((size) => {
    const events = Array.from({ length: size }, (_, index) => revealed((head.sequence + index + 1).toString(16).padStart(24, '0')));
    const { block } = buildBlock(WRITER, head, events);
    head = { sequence: block.lastSequence, hash: block.hash };
    return block;
  });
}

const eventsOf = (blocks: readonly Block[]) => blocks.flatMap(splitBlock);
const recordsOf = (blocks: readonly Block[]): WriterRecord[] => eventsOf(blocks).map((bytes, index) => ({ sequence: index + 1, bytes }));
const total = (blocks: readonly Block[]) => blocks.at(-1)?.lastSequence ?? 0;

const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 8 });

describe('a writer’s journal against the ledger', () => {
  it('is in order where the ledger has all, or lacks only what came after the look began', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(), async (some, cut) => {
        const blocks = journalOf(some);
        const through = cut % (total(blocks) + 1);
        const records = recordsOf(blocks).slice(0, Math.max(through, cut % 3));
        expect(await checkWriter(WRITER, each(blocks), each(records), through, NOTHING_RETIRED)).toBe(total(blocks));
      }),
    );
  });

  it('is not where any one record is missing, doubled, changed or foreign, or any one block is missing or changed', async () => {
    const changes: ((blocks: Block[], records: WriterRecord[], pick: number) => void)[] = [
      (_blocks, records, pick) => void records.splice(pick % records.length, 1),
      (_blocks, records, pick) => void records.splice(pick % records.length, 0, records[pick % records.length] as WriterRecord),
      (_blocks, records, pick) => {
        const record = records[pick % records.length] as WriterRecord;
        record.bytes = Buffer.from(record.bytes);
        record.bytes.writeUInt8((record.bytes[pick % record.bytes.length] as number) ^ 1, pick % record.bytes.length);
      },
      (_blocks, records) => void records.push({ sequence: records.length + 1, bytes: Buffer.from('foreign') }),
      (blocks, _records, pick) => void blocks.splice(pick % blocks.length, 1),
      (blocks, _records, pick) => {
        const block = blocks[pick % blocks.length] as Block;
        block.hash = Buffer.from(block.hash);
        block.hash.writeUInt8((block.hash[pick % 32] as number) ^ 1, pick % 32);
      },
      (blocks, _records, pick) => {
        const block = blocks[pick % blocks.length] as Block;
        block.events = Buffer.from(block.events);
        block.events.writeUInt8((block.events[pick % block.events.length] as number) ^ 1, pick % block.events.length);
      },
    ];
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(), fc.constantFrom(...changes), async (some, pick, change) => {
        const blocks = journalOf(some);
        const [records, through] = [recordsOf(blocks), total(blocks)];
        change(blocks, records, pick);
        const checked = checkWriter(WRITER, each(blocks), each(records), through, NOTHING_RETIRED);
        await expect(checked).rejects.toMatchObject({ name: 'BadEvidence', message: expect.stringContaining(WRITER) });
      }),
      { numRuns: 300 },
    );
  });
});

/** A block whose chain hash is that of its events, whatever they say of themselves. */
function blockOf(...events: Buffer[]): Block {
  const framed = events.flatMap((bytes) => [Buffer.of(0, 0, bytes.length >> 8, bytes.length & 0xff), bytes]);
  const hash = events.reduce((previous, bytes) => chainHash(previous, bytes), GENESIS);
  return { writer: WRITER, firstSequence: 1, lastSequence: events.length, events: Buffer.concat(framed), hash };
}

const eventAt = (sequence: number, previous: Buffer) =>
  Buffer.from(revealed('1'.repeat(24))({ writer: WRITER, sequence, previousHash: previous.toString('hex') }));

describe('what is wrong with a writer', () => {
  const first = eventAt(1, GENESIS);
  const afterFirst = chainHash(GENESIS, first);
  const check = (blocks: Block[], records: WriterRecord[] = recordsOf(blocks), through = total(blocks)) =>
    checkWriter(WRITER, each(blocks), each(records), through, NOTHING_RETIRED);

  it.each<[what: string, checked: () => Promise<unknown>, sentence: string]>([
    [
      'a journal without a block',
      () => check(journalOf([3, 2, 1]).filter((_, at) => at !== 1)),
      `The journal of writer ${WRITER} has no block with number 4.`,
    ],
    [
      'a journal without its end, as the ledger is',
      () => check(journalOf([3, 2]).slice(0, 1), recordsOf(journalOf([3])), 5),
      `The journal of writer ${WRITER} ended at 5 and ends at 3 now.`,
    ],
    [
      'an event that has another number',
      () => check([blockOf(first, eventAt(3, afterFirst))]),
      `Event ${WRITER}/2 is in the journal under a number that it does not have.`,
    ],
    [
      'an event that follows another one',
      () => check([blockOf(first, eventAt(2, GENESIS))]),
      `Event ${WRITER}/2 does not continue its writer’s chain in the journal.`,
    ],
    [
      'a record that is there twice',
      () =>
        check(
          journalOf([3]),
          recordsOf(journalOf([3])).flatMap((record) => (record.sequence === 2 ? [record, record] : [record])),
        ),
      `Event ${WRITER}/2 is in the ledger twice.`,
    ],
  ])('is said: %s', async (_what, checked, sentence) => {
    await expect(checked()).rejects.toMatchObject({ name: 'BadEvidence', message: sentence });
  });

  it('is nothing where all is as it must be', async () => {
    expect(await check([blockOf(first, eventAt(2, afterFirst))])).toBe(2);
  });
});

interface Stored {
  records: LogRecord[];
  heads: { size: number; edge: Buffer }[];
  nodes: (NodeId & { hash: Buffer })[];
  checkpoints: { size: number; note: Buffer }[];
}

/** What the ledger stores of an organization's log of that size, with a head and a checkpoint after every third record. */
async function logOf(size: number): Promise<Stored> {
  const stored: Stored = { records: [], heads: [], nodes: [], checkpoints: [] };
  const tree = CompactRange.empty();
  for (const [index, bytes] of eventsOf(journalOf([size])).entries()) {
    const leafHash = Buffer.from(SHA256_TREE.leaf(bytes));
    tree.append(
      leafHash,
      ({ level, index: at }, hash) => level > 0 && level % 8 === 0 && stored.nodes.push({ level, index: at, hash: Buffer.from(hash) }),
    );
    const { id, data } = parseEvent(bytes);
    const { handler, outcome, apiKeyId, address } = data;
    const time = Date.parse('2026-01-01T00:00:00.000Z');
    stored.records.push({
      index,
      bytes,
      leafHash,
      writer: WRITER,
      sequence: index + 1,
      recordId: id,
      time,
      handler,
      outcome,
      apiKeyId,
      address,
    });
    if (tree.size % 3 !== 0 && tree.size !== size) continue;
    stored.heads.push({ size: tree.size, edge: Buffer.concat(tree.hashes()) });
    if (tree.size < 60) stored.checkpoints.push({ size: tree.size, note: await checkpointOf(1, { size: tree.size, root: tree.root() }) });
  }
  return stored;
}

const sourcesOf = ({ records, heads, nodes, checkpoints }: Stored): LogSources => ({
  records: each(records),
  retired: each([]),
  heads: each(heads),
  nodes: (level) => each(nodes.filter((node) => node.level === level)),
  checkpoints: each(checkpoints),
});
const open = (note: Buffer) => openCheckpoint(note, policyOf(ORGANIZATION)).checkpoint;
const flip = (bytes: Buffer) => Buffer.from(bytes.map((byte, at) => (at === 5 ? byte ^ 1 : byte)));

type Fault = [what: string, change: (stored: Stored) => void, expected: RegExp];
/** Each column that repeats what the bytes say, with something else in it. */
const COLUMNS: [column: string, changed: Partial<LogRecord>][] = [
  ['writer', { writer: writerId(2) }],
  ['sequence', { sequence: 9 }],
  ['record id', { recordId: 'f'.repeat(24) }],
  ['time', { time: 1 }],
  ['handler', { handler: 'other' }],
  ['outcome', { outcome: 'denied' }],
  ['API key', { apiKeyId: 'f'.repeat(24) }],
  ['address', { address: '2001:db8::2' }],
];

describe('an organization’s log', () => {
  it.each([0, 1, 3, 20, 255, 256, 520])('of %i records is in order', async (size) => {
    const { records, checkpoints } = await checkLog(ORGANIZATION, sourcesOf(await logOf(size)), open);
    expect([records, checkpoints > 0]).toEqual([size, size > 0]);
  });

  const faults: Fault[] = [
    [
      'changed bytes',
      ({ records }) => (records[7] = { ...(records[7] as LogRecord), bytes: flip((records[7] as LogRecord).bytes) }),
      /^Record 7 .* hash/,
    ],
    ['a record taken away', ({ records }) => records.splice(7, 1), /^Record 7 .* is not in the ledger/],
    ['the last records taken away', ({ records }) => records.splice(518, 2), /^There is a head of .* at 519, and the ledger ends at 518/],
    [
      'two records swapped',
      ({ records }) => {
        const [a, b] = [records[7], records[8]] as [LogRecord, LogRecord];
        [records[7], records[8]] = [
          { ...b, index: 7 },
          { ...a, index: 8 },
        ];
      },
      /^The head of .* at 9 is not that of its records/,
    ],
    ['a head taken away', ({ heads }) => heads.pop(), /^The head of .* at 520 is not stored/],
    ['a signed head taken away', ({ heads }) => heads.splice(1, 1), /^The head of .* at 6, which was signed, is not stored/],
    ['a head changed', ({ heads }) => (heads[2] = { size: 9, edge: flip((heads[2] as Stored['heads'][0]).edge) }), /^The head of .* at 9/],
    ['a node taken away', ({ nodes }) => nodes.splice(0, 1), /^Node 0 on level 8 .* is not stored/],
    [
      'a node changed',
      ({ nodes }) => (nodes[1] = { level: 8, index: 1, hash: Buffer.alloc(32) }),
      /^Node 1 on level 8 .* not that of its records/,
    ],
    ['a node too many', ({ nodes }) => nodes.push({ level: 8, index: 2, hash: Buffer.alloc(32) }), /^There is a node 2 on level 8/],
    [
      'a node on a level too high',
      ({ nodes }) => nodes.push({ level: 16, index: 0, hash: Buffer.alloc(32) }),
      /^There is a node 0 on level 16/,
    ],
    [
      'a checkpoint changed',
      ({ checkpoints }) => (checkpoints[0] = { size: 3, note: flip((checkpoints[0] as Stored['heads'][0] & { note: Buffer }).note) }),
      /^The checkpoint of .* at 3 is not believed/,
    ],
    [
      'a checkpoint of another size',
      ({ checkpoints }) => (checkpoints[0] = { size: 3, note: checkpoints[1]?.note as Buffer }),
      /under a size that it does not have/,
    ],
    [
      'a checkpoint of more records than there are',
      ({ checkpoints }) => checkpoints.push({ size: 600, note: checkpoints[0]?.note as Buffer }),
      /^There is a checkpoint of .* at 600, and the ledger ends at 520/,
    ],
    ...COLUMNS.map(([column, changed]): Fault => [
      `a ${column} that does not fit`,
      ({ records }) => (records[7] = { ...(records[7] as LogRecord), ...changed }),
      new RegExp(`^Record 7 .* ${column} that is not the one`),
    ]),
    [
      'a record of another organization',
      ({ records }) => (records[7] = strange(records[7] as LogRecord)),
      /^Record 7 .* is of another organization/,
    ],
  ];
  it.each(faults)('with %s is named', async (_what, change, expected) => {
    const stored = await logOf(520);
    change(stored);
    await expect(checkLog(ORGANIZATION, sourcesOf(stored), open)).rejects.toMatchObject({
      name: 'BadEvidence',
      message: expect.stringMatching(expected),
    });
  });

  it('with a checkpoint of another tree is named', async () => {
    const stored = await logOf(20);
    stored.checkpoints[1] = { size: 6, note: await checkpointOf(1, { size: 6, root: Buffer.alloc(32) }) };
    await expect(checkLog(ORGANIZATION, sourcesOf(stored), open)).rejects.toThrow(/^The checkpoint of .* at 6 is not that of its records/);
  });
});

function strange(record: LogRecord): LogRecord {
  const bytes = Buffer.from(String(record.bytes).replace(ORGANIZATION, organization(2)));
  return { ...record, bytes, leafHash: Buffer.from(SHA256_TREE.leaf(bytes)) };
}

describe('a record that no journal committed', () => {
  const parked = {
    topic: 'kms.audit.v1',
    partition: 1,
    offset: '7',
    sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  };
  const record = (parkedMember: object | undefined, others: Partial<Parameters<typeof prepareEvent>[0]> = {}): UncommittedRecord => {
    const place = prepareEvent({
      id: '1'.repeat(24),
      source: '/audit',
      type: 'kms.message.parked.v1',
      ...others,
      time: '2026-01-01T00:00:00.000Z',
      data: {
        ...auditData({ organizationId: ORGANIZATION, action: 'park', outcome: 'error' }),
        ...(parkedMember && { parked: parkedMember as typeof parked }),
      },
    });
    const bytes = Buffer.from(place({ writer: WRITER, sequence: 1, previousHash: '0'.repeat(64) }));
    return {
      organizationId: ORGANIZATION,
      index: 3,
      writer: WRITER,
      sequence: 1,
      bytes,
      topic: 'kms.audit.v1',
      partition: 1,
      offset: '7',
      value: null,
    };
  };

  it('is a parked message with its bytes beside it, or it is foreign', () => {
    expect(() => requireParked(record(parked))).not.toThrow();
    expect(() => requireParked(record(undefined))).toThrow(/never committed/);
    for (const other of [{ source: '/vault' }, { type: 'kms.secret.revealed.v1' }] as const)
      expect(() => requireParked(record(parked, other))).toThrow(/never committed/);
    expect(() => requireParked({ ...record(parked), topic: null })).toThrow(/is not kept/);
    for (const other of [{ partition: 2 }, { offset: '8' }, { value: Buffer.from('x') }, { topic: 'other' }])
      expect(() => requireParked({ ...record(parked), ...other })).toThrow(/is not of the parked message/);
  });
});

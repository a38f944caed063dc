import { describe, expect, it } from '@jest/globals';
import { auditData, prepareEvent } from '@kms/contracts';
import { buildBlock, GENESIS, splitBlock } from '@kms/journal';
import { CompactRange, parseCheckpoint, parseNote, SHA256_TREE, TILE_WIDTH } from '@kms/merkle';
import fc from 'fast-check';
import { checkpointOf, organization, writerId } from '../follow/topic.fixture.ts';
import { checkLog, type LogSources } from './check-log.ts';
import { checkWriter } from './check-writer.ts';

const WRITER = writerId(1);
const ORGANIZATION = organization(1);

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

function blockOf(size: number) {
  const data = auditData({ organizationId: ORGANIZATION, action: 'reveal', outcome: 'success' });
  const event = { id: '1'.repeat(24), source: '/vault', type: 'kms.secret.revealed.v1', time: '2026-01-01T00:00:00.000Z', data } as const;
  const events = Array.from({ length: size }, () => prepareEvent(event));
  return buildBlock(WRITER, { sequence: 0, hash: GENESIS }, events).block;
}

describe('a writer of which events were retired', () => {
  it('is in order exactly where as many are missing up to the last of them as have left', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.boolean(), { minLength: 1, maxLength: 30 }),
        fc.nat(),
        fc.integer({ min: -1, max: 1 }),
        async (gone, more, wrong) => {
          const block = blockOf(gone.length);
          const records = splitBlock(block).flatMap((bytes, at) => (gone[at] ? [] : [{ sequence: at + 1, bytes }]));
          const through = gone.lastIndexOf(true) + 1;
          const retired = { events: gone.filter(Boolean).length + wrong, through: Math.min(gone.length, through + (more % 2)) };
          const checked = checkWriter(WRITER, each([block]), each(records), gone.length, retired);
          if (wrong === 0) expect(await checked).toBe(gone.length);
          else await expect(checked).rejects.toThrow(/^Of writer .* are not in the ledger, and -?\d+ were retired\.$/);
        },
      ),
    );
  });

  it('is not where an event behind the last of them is missing', async () => {
    const block = blockOf(5);
    const records = [2, 3, 5].map((sequence) => ({ sequence, bytes: splitBlock(block)[sequence - 1] as Buffer }));
    const checked = checkWriter(WRITER, each([block]), each(records), 5, { events: 1, through: 1 });
    await expect(checked).rejects.toThrow(`Event ${WRITER}/4 was committed and is not in the ledger.`);
  });
});

/** What is stored of a log of 600 records of which the first tiles have left, with one head and a checkpoint at its end. */
async function logWithout(tiles: number): Promise<LogSources & { tiles: { tile: number; hashes: Buffer }[] }> {
  const records = splitBlock(blockOf(600)).map((bytes, index) => ({
    index,
    bytes,
    leafHash: Buffer.from(SHA256_TREE.leaf(bytes)),
    writer: WRITER,
    sequence: index + 1,
    recordId: '1'.repeat(24),
    time: Date.parse('2026-01-01T00:00:00.000Z'),
    handler: null,
    outcome: 'success',
    apiKeyId: null,
    address: null,
  }));
  const tree = CompactRange.empty();
  const nodes: { level: number; index: number; hash: Buffer }[] = [];
  for (const { leafHash } of records) {
    tree.append(leafHash, ({ level, index }, hash) => level === 8 && nodes.push({ level, index, hash: Buffer.from(hash) }));
  }
  const leaving = Array.from({ length: tiles }, (_, tile) => ({
    tile,
    hashes: Buffer.concat(records.slice(tile * TILE_WIDTH, (tile + 1) * TILE_WIDTH).map(({ leafHash }) => leafHash)),
  }));
  return {
    tiles: leaving,
    retired: each(leaving),
    records: each(records.slice(tiles * TILE_WIDTH)),
    heads: each([{ size: 600, edge: Buffer.concat(tree.hashes()) }]),
    nodes: (level) => each(nodes.filter((node) => node.level === level)),
    checkpoints: each([{ size: 600, note: await checkpointOf(1, { size: 600, root: tree.root() }) }]),
  };
}

const open = (note: Buffer) => parseCheckpoint(parseNote(note).text);

describe('a log of which records were retired', () => {
  it.each([0, 1, 2])('is in order with the hashes of %i tiles', async (tiles) => {
    expect(await checkLog(ORGANIZATION, await logWithout(tiles), open)).toEqual({ records: 600 - tiles * TILE_WIDTH, checkpoints: 1 });
  });

  it('names what is missing, doubled or changed of them', async () => {
    const stored = await logWithout(2);
    const [first, second] = stored.tiles as [{ tile: number; hashes: Buffer }, { tile: number; hashes: Buffer }];
    const other = { tile: 1, hashes: Buffer.from(second.hashes.map((byte, at) => (at === 99 ? byte ^ 1 : byte))) };
    const refused = async (retired: { tile: number; hashes: Buffer }[], sentence: RegExp) =>
      expect(checkLog(ORGANIZATION, { ...(await logWithout(2)), retired: each(retired) }, open)).rejects.toThrow(sentence);
    await refused([first], /^Record 256 of .* is not in the ledger\.$/);
    await refused([second], /^The retired leaves of .* from 0 on are not stored\.$/);
    await refused([first, first], /^The retired leaves of .* from 256 on are not stored\.$/);
    await refused([first, other], /^Node 1 on level 8 of .* is not that of its records\.$/);
  });
});

import { describe, expect, it } from '@jest/globals';
import { CompactRange, SHA256_TREE } from '@kms/merkle';
import fc from 'fast-check';
import { DEFAULT_LIMITS, Follower } from './follower.ts';
import { SignedLogs } from './signed-logs.ts';
import { checkpointOf, FixtureTopic, organization, policyOf } from './topic.fixture.ts';

const KEY = Buffer.from(organization(1));
const place = { topic: 'kms.audit.checkpoints.v1', partition: 0, offset: 0n };
const leaves = Array.from({ length: 40 }, (_, index) => SHA256_TREE.leaf(Buffer.from(String(index))));

function treeOf(size: number, from = leaves): { size: number; root: Uint8Array } {
  const tree = CompactRange.empty();
  for (const leaf of from.slice(0, size)) tree.append(leaf);
  return { size, root: tree.root() };
}

const logs = (limits = DEFAULT_LIMITS) => new SignedLogs(policyOf, limits);
const take = (subject: SignedLogs, note: Buffer, now = 0) => subject.addCheckpoint(KEY, note, place, now).map(({ code }) => code);

describe('checkpoints from the topic', () => {
  it('match the events, whichever of the two topics is ahead', async () => {
    const notes = await Promise.all(leaves.map((_, index) => checkpointOf(1, treeOf(index + 1))));
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(39)), fc.infiniteStream(fc.boolean()), (sizes, isEvent) => {
        const subject = logs({ ...DEFAULT_LIMITS, maxLeaves: 1_000 });
        const [events, checkpoints] = [[...leaves], [...sizes].sort((a, b) => a - b)];
        const found: string[] = [];
        while (events.length + checkpoints.length > 0) {
          if (checkpoints.length === 0 || (events.length > 0 && isEvent.next().value))
            found.push(...subject.addLeaf(organization(1), events.shift() as Uint8Array, true).map(({ code }) => code));
          else found.push(...take(subject, notes[checkpoints.shift() as number] as Buffer));
        }
        expect(found).toEqual(sizes.map(() => 'matches'));
        expect([subject.hasWaiting, subject.uncompared]).toEqual([false, 0]);
      }),
    );
  });

  it('are not taken for wrong where the events are in another order: that is said, once', async () => {
    const subject = logs();
    const swapped = [leaves[1], leaves[0], ...leaves.slice(2)] as Uint8Array[];
    for (const leaf of swapped) subject.addLeaf(organization(1), leaf, true);
    expect(take(subject, await checkpointOf(1, treeOf(1)))).toEqual(['not-reproduced']);
    expect(take(subject, await checkpointOf(1, treeOf(2)))).toEqual([]);
    expect([...subject.summaries()]).toEqual([{ organizationId: organization(1), signed: 2, matched: null, isReproduced: false }]);
  });

  it('that are over more events than there are, are said to be', async () => {
    const subject = logs();
    subject.addLeaf(organization(1), leaves[0] as Uint8Array, true);
    expect(take(subject, await checkpointOf(1, treeOf(2)), 5)).toEqual([]);
    expect([subject.overdue(4), subject.hasWaiting]).toEqual([[], true]);
    expect(subject.overdue(5).map(({ code }) => code)).toEqual(['not-reproduced']);
    expect([subject.overdue(5), subject.hasWaiting]).toEqual([[], false]);
  });

  it('that fork, shrink, or are not signed, are violations', async () => {
    const subject = logs();
    const later = { signedAt: '2026-01-02T00:00:00.000Z' };
    expect(take(subject, await checkpointOf(1, treeOf(9), later))).toEqual([]);
    expect(take(subject, await checkpointOf(1, treeOf(9), later))).toEqual([]);
    expect(take(subject, await checkpointOf(1, treeOf(9, leaves.slice(1)), later))).toEqual(['fork']);
    expect(take(subject, await checkpointOf(1, treeOf(8), later))).toEqual(['shrunk']);
    // Signed before the larger one, it is only late.
    expect(take(subject, await checkpointOf(1, treeOf(7)))).toEqual([]);
    expect(take(subject, await checkpointOf(1, treeOf(10), { isStranger: true }))).toEqual(['checkpoint']);
    expect(take(subject, await checkpointOf(2, treeOf(10)))).toEqual(['checkpoint']);
    expect(take(subject, Buffer.from('nonsense'))).toEqual(['checkpoint']);
    expect(subject.addCheckpoint(KEY, null, place, 0).map(({ code }) => code)).toEqual(['checkpoint']);
    expect(subject.addCheckpoint(null, null, place, 0).map(({ code }) => code)).toEqual(['checkpoint']);
  });

  it('are each believed or refused whatever byte of them is flipped', async () => {
    const note = await checkpointOf(1, treeOf(3));
    fc.assert(
      fc.property(fc.nat(note.length - 1), fc.nat(7), (at, bit) => {
        const changed = Buffer.from(note);
        changed[at] = (changed[at] as number) ^ (1 << bit);
        expect(take(logs(), changed)).toEqual(['checkpoint']);
      }),
    );
  });

  it('are compared within bounds, and counted beyond them', async () => {
    const subject = logs({ ...DEFAULT_LIMITS, maxLeaves: 4, maxWaiting: 1, maxRoots: 1 });
    for (const leaf of leaves.slice(0, 9)) subject.addLeaf(organization(1), leaf, true);
    expect(take(subject, await checkpointOf(1, treeOf(1)))).toEqual([]);
    expect(take(subject, await checkpointOf(1, treeOf(9)))).toEqual(['matches']);
    for (const size of [10, 11]) expect(take(subject, await checkpointOf(1, treeOf(size)))).toEqual([]);
    expect([subject.believed, subject.matches, subject.uncompared]).toEqual([4, 1, 2]);
  });
});

describe('the follower with keys', () => {
  it('builds each organization’s tree of what is new, and does not where its partition is not read from the first message', async () => {
    const topic = new FixtureTopic(2);
    for (let sent = 0; sent < 12; sent += 1) topic.append(sent % 2, topic.send(1, sent % 2).value);
    const follower = new Follower({ topic: 'kms.audit.v1', partitions: topic.starts((partition) => partition), startedAt: 0, policyOf });
    topic.partitions[1]?.shift();
    for (const message of topic.partitions.flat()) follower.message(message, 0);
    const found = [];
    for (const number of [0, 1]) {
      const tree = topic.trees.get(number) as CompactRange;
      const note = await checkpointOf(number, { size: tree.size, root: tree.root() });
      found.push(...follower.checkpoint(Buffer.from(organization(number)), note, place, 0).map(({ code }) => code));
    }
    expect(found).toEqual(['matches']);
    expect(follower.summary(0)).toMatchObject({ checkpoints: 2, matches: 1 });
    expect(follower.isPending).toBe(false);
  });
});

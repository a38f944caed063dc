import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DEFAULT_LIMITS, Follower, type FollowedMessage, type FollowerOptions } from './follower.ts';
import type { Finding } from './finding.ts';
import { FixtureTopic, organization, writerId } from './topic.fixture.ts';

const TOPIC = 'kms.audit.v1';

function followerOf(topic: FixtureTopic, options: Partial<FollowerOptions> = {}): Follower {
  return new Follower({ topic: TOPIC, partitions: topic.starts(), startedAt: 0, ...options });
}

/** Reads the partitions in turns that `order` picks, each in its own order, and says what was found, the missing included. */
function read(topic: FixtureTopic, follower: Follower, order: readonly number[] = []): Finding[] {
  const rest = topic.partitions.map((messages) => [...messages]);
  const findings: Finding[] = [];
  const picks = [...order];
  let now = 0;
  while (rest.some(({ length }) => length > 0)) {
    const waiting = rest.filter(({ length }) => length > 0);
    const queue = waiting[(picks.shift() ?? 0) % waiting.length] as FollowedMessage[];
    findings.push(...follower.message(queue.shift() as FollowedMessage, (now += 1)));
  }
  return [...findings, ...follower.overdue(Infinity)];
}

const codes = (findings: readonly Finding[]) => findings.map(({ code }) => code);

/** Which writer tells an event to which organization, and which message comes again after it. */
const steps = fc.array(fc.record({ writer: fc.nat(2), organization: fc.nat(4), again: fc.option(fc.nat()) }), {
  minLength: 1,
  maxLength: 60,
});
const order = fc.array(fc.nat(2), { maxLength: 120 });

type Steps = readonly { writer: number; organization: number; again: number | null }[];

function build(all: Steps): FixtureTopic {
  const topic = new FixtureTopic();
  const sent: [number, FollowedMessage][] = [];
  for (const { writer, organization: number, again } of all) {
    sent.push([number, topic.send(writer, number)]);
    const double = again === null ? undefined : sent[again % sent.length];
    if (double !== undefined) topic.append(double[0], double[1].value);
  }
  return topic;
}

describe('what follows the topic', () => {
  it('finds nothing where each event is there, however partitions are read and messages are doubled', () => {
    fc.assert(
      fc.property(steps, order, (all, turns) => {
        const topic = build(all);
        const follower = followerOf(topic);
        expect(read(topic, follower, turns)).toEqual([]);
        expect(follower.summary(0)).toMatchObject({
          events: all.length,
          doubles: all.filter(({ again }) => again !== null).length,
          uncomparedDoubles: 0,
          writers: new Set(all.map(({ writer }) => writer)).size,
          organizations: new Set(all.map((step) => step.organization)).size,
          gaps: 0,
        });
      }),
    );
  });

  it('names each number that is missing before one that came, and no other', () => {
    fc.assert(
      fc.property(steps, order, fc.nat(), (all, turns, pick) => {
        const events = all.map((step) => ({ ...step, again: null }));
        const topic = build(events);
        const taken = topic.partitions.flat()[pick % all.length] as FollowedMessage;
        const { writer, sequence } = JSON.parse(String(taken.value)) as { writer: string; sequence: string };
        const kept = topic.partitions.map((messages) =>
          messages.filter((message) => message !== taken).map((message, offset) => ({ ...message, offset: BigInt(offset) })),
        );
        topic.partitions.splice(0, kept.length, ...kept);
        const isLast = !kept.flat().some(({ value }) => {
          const other = JSON.parse(String(value)) as { writer: string; sequence: string };
          return other.writer === writer && other.sequence > sequence;
        });
        const findings = read(topic, followerOf(topic), turns);
        expect(findings.map((finding) => [finding.code, finding.writer, finding.sequence])).toEqual(
          isLast ? [] : [['gap', writer, Number(sequence)]],
        );
      }),
    );
  });

  it('finds a changed byte of any event by its double, or else by the chain', () => {
    fc.assert(
      fc.property(steps, order, fc.nat(), (all, turns, pick) => {
        const topic = build(all);
        const changed = topic.partitions.flat()[pick % all.length] as FollowedMessage;
        const event = JSON.parse(String(changed.value)) as { writer: string; sequence: string };
        const isLast = !topic.partitions.flat().some((message) => {
          const other = JSON.parse(String(message.value)) as { writer: string; sequence: string };
          return message !== changed && other.writer === event.writer && other.sequence >= event.sequence;
        });
        changed.value = Buffer.from(String(changed.value).replace('"success"', '"denied"'));
        const findings = read(topic, followerOf(topic), turns);
        // The last event of a chain is vouched for by nothing on the topic but the checkpoint over it.
        if (isLast) return expect(findings).toEqual([]);
        expect(findings.length).toBeGreaterThan(0);
        for (const { code, writer, sequence } of findings) {
          expect(['chain', 'conflict']).toContain(code);
          expect([writer, Number(event.sequence) + (code === 'chain' ? 1 : 0)]).toEqual([event.writer, sequence]);
        }
      }),
    );
  });

  it('names what is no event, what is under another key, and what does not begin a chain', () => {
    const topic = new FixtureTopic(1);
    topic.append(1, Buffer.from('{}'));
    topic.append(1, null);
    topic.append(1, topic.make(1, 1), organization(2));
    topic.send(1, 1);
    topic.append(1, Buffer.concat([topic.make(1, 1), Buffer.alloc(65_535, ' ')]));
    const findings = read(topic, followerOf(topic));
    expect(findings.map(({ code, place }) => [code, place?.offset])).toEqual([
      ['schema', 0n],
      ['schema', 1n],
      ['key', 2n],
      ['schema', 4n],
      ['gap', 3n],
    ]);
    const first = String(topic.make(9, 1)).replace('0'.repeat(64), '1'.repeat(64));
    const other = new FixtureTopic(1);
    other.append(1, Buffer.from(first));
    expect(read(other, followerOf(other))).toMatchObject([{ code: 'chain', writer: writerId(9), sequence: 1 }]);
  });

  it('takes back a gap that closes', () => {
    const topic = new FixtureTopic(1);
    const [first, second, third] = [topic.send(1, 1), topic.send(1, 1), topic.send(1, 1)];
    const follower = followerOf(topic);
    follower.message(first, 1);
    expect(follower.message({ ...third, offset: 1n }, 2)).toEqual([]);
    expect(follower.overdue(1)).toEqual([]);
    expect(codes(follower.overdue(2))).toEqual(['gap']);
    expect(follower.overdue(3)).toEqual([]);
    expect(follower.summary(12)).toMatchObject({ gaps: 1, oldestGapMs: 10 });
    expect(codes(follower.message({ ...second, offset: 2n }, 4))).toEqual(['gap-closed']);
    expect(follower.summary(12)).toMatchObject({ gaps: 0, oldestGapMs: 0 });
  });

  it('says what was gone before it was read, and what comes again', () => {
    const topic = new FixtureTopic(1);
    for (let sent = 0; sent < 5; sent += 1) topic.send(1, 1);
    const [messages] = topic.partitions as [FollowedMessage[]];
    const follower = followerOf(topic);
    const findings = [0, 3, 1, 2].flatMap((index) => follower.message(messages[index] as FollowedMessage, 1));
    expect(findings.map(({ code, place }) => [code, place?.offset])).toEqual([
      ['unread', 3n],
      ['restarted', 1n],
    ]);
    expect(follower.overdue(Infinity)).toEqual([]);
  });

  it('does not miss what lies before the place where reading begins', () => {
    fc.assert(
      fc.property(steps, order, fc.array(fc.nat(), { minLength: 3, maxLength: 3 }), (all, turns, cuts) => {
        const topic = build(all);
        const from = (partition: number) => (cuts[partition] as number) % ((topic.partitions[partition] as unknown[]).length + 1);
        const partitions = topic.starts(from);
        const follower = followerOf(topic, { partitions, startedAt: 1_000_200 });
        topic.partitions.forEach((messages, partition) => messages.splice(0, from(partition)));
        expect(read(topic, follower, turns)).toEqual([]);
      }),
    );
  });

  it('misses what lies behind it', () => {
    const topic = new FixtureTopic(2);
    for (let sent = 0; sent < 30; sent += 1) topic.send(1, sent % 2);
    const late = topic.partitions.map((messages) =>
      messages.map((message) => ({ ...message, appendedAt: Number(message.offset) * 10_000 })),
    );
    topic.partitions.splice(0, 2, ...late);
    const follower = followerOf(topic, { partitions: topic.starts(() => 5), startedAt: 1 });
    for (const messages of topic.partitions) messages.splice(0, 5);
    const [odd] = (topic.partitions[1] as FollowedMessage[]).splice(6, 1) as [FollowedMessage];
    const findings = read(topic, follower);
    expect(codes(findings)).toEqual(['unread', 'gap']);
    expect(findings[1]?.sequence).toBe(Number((JSON.parse(String(odd.value)) as { sequence: string }).sequence));
  });

  it('keeps its bounds, and says what it gave up', () => {
    const limits = { ...DEFAULT_LIMITS, maxGaps: 2, maxWriters: 2, recentBytes: 1 };
    const topic = new FixtureTopic(1);
    const all = Array.from({ length: 9 }, () => topic.send(1, 1));
    const follower = followerOf(topic, { limits });
    const findings = [0, 2, 4, 6, 1].flatMap((index, offset) =>
      follower.message({ ...(all[index] as FollowedMessage), offset: BigInt(offset) }, offset),
    );
    expect(findings).toMatchObject([{ code: 'gap', sequence: 2 }]);
    expect(follower.summary(10)).toMatchObject({ gaps: 2, doubles: 1, uncomparedDoubles: 1, oldestGapMs: 8 });
    for (const writer of [2, 3, 4]) follower.message({ ...topic.send(writer, 1), offset: BigInt(3 + writer) }, 9);
    expect(follower.summary(10)).toMatchObject({ writers: 2, gaps: 2 });
    follower.message({ ...topic.send(2, 1), offset: 8n }, 9);
    expect(codes(follower.overdue(8))).toEqual(['gap', 'gap']);
    expect(follower.overdue(9)).toEqual([]);
  });
});

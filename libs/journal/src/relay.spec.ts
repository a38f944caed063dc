import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { blockOf, MemoryJournal, MemoryJournalStore, MemoryRelayStore } from '@kms/testing';
import { Relay, type Message } from './relay.ts';

const TIMING = { gatherFor: 1, watermarkEvery: 1, resendAfter: 20, adoptEvery: 1, checkEvery: 1, retryAfter: 1 };

const sha256Of = (text: string) => createHash('sha256').update(text).digest('hex');

class CountingStore extends MemoryRelayStore {
  reads = 0;

  override readBlocks(...parameters: Parameters<MemoryRelayStore['readBlocks']>) {
    this.reads += 1;
    return super.readBlocks(...parameters);
  }
}

/** Three events of one writer, a topic that may lose what it acknowledged, and a ledger that keeps what arrives. */
async function scene({ isOrphan = false, loses = (_time: number): boolean => false, fails = (_time: number): boolean => false } = {}) {
  const journal = new MemoryJournal();
  const session = await new MemoryJournalStore(journal).open();
  const block = blockOf(session.writer, ['1', '2', '3']);
  await session.insert(block, []);
  if (isOrphan) await session.close();
  const ledger = new Set<number>();
  let sends = 0;
  const publisher = {
    publish: async (messages: readonly Message[]) => {
      sends += 1;
      if (fails(sends)) throw new Error('the broker is away');
      if (loses(sends)) return;
      for (const { value } of messages) if (!parked.has(Number(value.toString()))) ledger.add(Number(value.toString()));
    },
  };
  /** How many questions the ledger was asked, and how many numbers further than asked it looks at most. */
  const asking = { questions: 0, step: Infinity };
  const watermarks = async (writers: readonly { writer: string; from: number }[]) => {
    asking.questions += 1;
    return writers.map(({ writer, from }) => {
      let sequence = from;
      while (ledger.has(sequence + 1) && sequence < from + asking.step) sequence += 1;
      return { writer, sequence };
    });
  };
  /** Numbers of events that the ledger has parked, as their hashes say. */
  const parked = new Set<number>();
  const settleParked = async (_writer: string, events: readonly { sequence: number; sha256: string }[]) => {
    const settled = events.filter(({ sequence, sha256 }) => parked.has(sequence) && sha256 === sha256Of(String(sequence)));
    for (const { sequence } of settled) ledger.add(sequence);
    return settled.map(({ sequence }) => sequence);
  };
  const store = new CountingStore(journal);
  const steps: string[] = [];
  const relay = new Relay({
    store,
    publisher,
    ledger: { watermarks, settleParked },
    keyOf: () => 'key',
    timing: TIMING,
    onFailure: (step) => steps.push(`${step} failed`),
    onSuccess: (step) => steps.push(step),
  });
  const isClosed = () => journal.writers.get(session.writer)?.isClosed;
  return { relay, ledger, parked, asking, steps, isClosed, block, sends: () => sends, reads: () => store.reads };
}

/** An orphan's 10,000 events of 1 KiB, by way of a broker that keeps the newest ones only, to a ledger that is asked rarely. */
async function bringLongTail(keeps: number): Promise<{ sent: number; watermark: number; questions: number }> {
  const journal = new MemoryJournal();
  const session = await new MemoryJournalStore(journal).open();
  const events = Array.from({ length: 10_000 }, (_, index) => String(index + 1).padEnd(1_024));
  for (let end = 100; end <= events.length; end += 100) {
    const firstSequence = end - 99;
    const block = blockOf(session.writer, events.slice(end - 100, end));
    await session.insert({ ...block, firstSequence, lastSequence: end }, []);
  }
  await session.close();
  const ledger = new Set<number>();
  let kept: number[] = [];
  const counts = { sent: 0, watermark: 0, questions: 0 };
  const publisher = {
    publish: async (messages: readonly Message[]) => {
      counts.sent += messages.length;
      kept = [...kept, ...messages.map(({ value }) => Number(value.toString()))].slice(-Math.min(keeps, events.length));
    },
  };
  const watermarks = async (writers: readonly { writer: string; from: number }[]) => {
    counts.questions += 1;
    for (const sequence of kept.splice(0)) ledger.add(sequence);
    while (ledger.has(counts.watermark + 1)) counts.watermark += 1;
    return writers.map(({ writer }) => ({ writer, sequence: counts.watermark }));
  };
  // Rarely, so that all that may be sent is sent in between.
  const timing = { ...TIMING, watermarkEvery: 50, resendAfter: 60, checkEvery: 60_000 };
  const relay = new Relay({
    store: new MemoryRelayStore(journal),
    publisher,
    ledger: { watermarks, settleParked: async () => [] },
    keyOf: () => 'key',
    timing,
  });
  relay.start();
  await until(() => journal.writers.get(session.writer)?.isClosed === true);
  await relay.stop();
  return counts;
}

/** Many more pauses than a relay needs for anything here. */
const MOST_PAUSES = 1_000;

/** Lets the clock go from one pause's end to the next one's. A relay that does not get there has failed. */
async function until(condition: () => boolean): Promise<void> {
  for (let pauses = 0; !condition(); pauses += 1) {
    if (pauses === MOST_PAUSES) throw new Error(`The relay never comes to ${String(condition)}`);
    await jest.advanceTimersToNextTimerAsync();
  }
}

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

describe('a relay', () => {
  it('sends its own writer’s events until the ledger holds them', async () => {
    const { relay, ledger, block, reads } = await scene();
    relay.start();
    relay.committed(block);
    await until(() => ledger.size === 3 && relay.unacknowledged === 0);
    await relay.stop();
    expect(reads()).toBe(0);
  });

  it('sends again what a broker acknowledged and lost', async () => {
    const { relay, ledger, sends, block, reads } = await scene({ loses: (time) => time === 1 });
    relay.start();
    relay.committed(block);
    await until(() => ledger.size === 3);
    await relay.stop();
    expect(sends()).toBe(2);
    // To see whether it was parked, and to send it.
    expect(reads()).toBe(2);
  });

  it.each([[1], [2], [3]])('does not send again what the ledger has parked, and goes on behind it: event %i', async (sequence) => {
    const { relay, parked, isClosed, sends } = await scene({ isOrphan: true });
    parked.add(sequence);
    relay.start();
    await until(() => isClosed() === true);
    await relay.stop();
    expect(sends()).toBe(1);
  });

  it('sends again what was lost before an event that was parked', async () => {
    const { relay, parked, isClosed, sends, ledger } = await scene({ isOrphan: true, loses: (time) => time === 1 });
    parked.add(2);
    relay.start();
    await until(() => isClosed() === true);
    await relay.stop();
    expect([sends(), [...ledger].sort()]).toEqual([2, [1, 2, 3]]);
  });

  it('brings a long tail through a broker that keeps only the newest 1,500 events', async () => {
    const { sent, watermark } = await bringLongTail(1_500);
    expect(watermark).toBe(10_000);
    expect(sent).toBeLessThan(40_000);
  });

  it('goes further ahead of a ledger that follows', async () => {
    const { sent, watermark, questions } = await bringLongTail(Infinity);
    expect([sent, watermark]).toEqual([10_000, 10_000]);
    expect(questions).toBe(5);
  });

  it('tells of a step that fails, and of the same step once it goes well', async () => {
    const { relay, ledger, block, steps } = await scene({ fails: (time) => time <= 2 });
    relay.start();
    relay.committed(block);
    await until(() => ledger.size === 3);
    await relay.stop();
    const published = steps.filter((step) => step.startsWith('publish'));
    expect(published.slice(0, 3)).toEqual(['publish failed', 'publish failed', 'publish']);
  });

  it('sends again what the ledger has lost, of its own writer', async () => {
    const { relay, ledger, block } = await scene();
    relay.start();
    relay.committed(block);
    await until(() => ledger.size === 3 && relay.unacknowledged === 0);
    ledger.delete(3);
    await until(() => ledger.size === 3 && relay.unacknowledged === 0);
    await relay.stop();
  });

  it('sends again what the ledger has lost, of a writer that was closed, and closes it anew', async () => {
    const { relay, ledger, isClosed } = await scene({ isOrphan: true });
    relay.start();
    await until(() => isClosed() === true);
    for (const lost of [2, 3]) {
      ledger.delete(lost);
      await until(() => ledger.size === 3 && relay.unacknowledged === 0);
    }
    await relay.stop();
    expect([...ledger].sort()).toEqual([1, 2, 3]);
  });

  it('asks on where the ledger looks at a part of a run only, and sends nothing then', async () => {
    const { relay, asking, isClosed, sends } = await scene({ isOrphan: true });
    relay.start();
    await until(() => isClosed() === true);
    asking.step = 1;
    const asked = asking.questions;
    await until(() => asking.questions > asked + 12);
    await relay.stop();
    expect(sends()).toBe(1);
  });

  it('adopts an orphaned writer, sends its tail and closes it', async () => {
    const { relay, ledger, isClosed } = await scene({ isOrphan: true });
    relay.start();
    await until(() => isClosed() === true);
    await relay.stop();
    expect([...ledger]).toEqual([1, 2, 3]);
  });
});

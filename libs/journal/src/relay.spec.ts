import { describe, expect, it } from '@jest/globals';
import { blockOf, MemoryJournal, MemoryJournalStore, MemoryRelayStore } from '@kms/testing';
import { Relay, type Message } from './relay.ts';

const TIMING = { gatherFor: 1, watermarkEvery: 1, resendAfter: 20, adoptEvery: 1, retryAfter: 1 };

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
      if (!loses(sends)) for (const { value } of messages) ledger.add(Number(value.toString()));
    },
  };
  const watermarks = async (writers: readonly { writer: string; from: number }[]) =>
    writers.map(({ writer }) => ({ writer, sequence: ledger.size }));
  const store = new CountingStore(journal);
  const steps: string[] = [];
  const relay = new Relay({
    store,
    publisher,
    ledger: { watermarks },
    keyOf: () => 'key',
    timing: TIMING,
    onFailure: (step) => steps.push(`${step} failed`),
    onSuccess: (step) => steps.push(step),
  });
  const isClosed = () => journal.writers.get(session.writer)?.isClosed;
  return { relay, ledger, steps, isClosed, block, sends: () => sends, reads: () => store.reads };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

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
    expect(reads()).toBe(1);
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

  it('adopts an orphaned writer, sends its tail and closes it', async () => {
    const { relay, ledger, isClosed } = await scene({ isOrphan: true });
    relay.start();
    await until(() => isClosed() === true);
    await relay.stop();
    expect([...ledger]).toEqual([1, 2, 3]);
  });
});

import { describe, expect, it } from '@jest/globals';
import { buildBlock, GENESIS } from './block.ts';
import { Relay, type Message, type OrphanedWriter, type RelayStore } from './relay.ts';

const TIMING = { gatherFor: 1, watermarkEvery: 1, resendAfter: 20, adoptEvery: 1, retryAfter: 1 };

/** Three events of one writer, a topic that may lose what it acknowledged, and a ledger that keeps what arrives. */
function scene({ orphans = [] as OrphanedWriter[], loses = (_time: number): boolean => false } = {}) {
  const { block } = buildBlock(
    'writer',
    { sequence: 0, hash: GENESIS },
    ['1', '2', '3'].map((text) => () => text),
  );
  const ledger = new Set<number>();
  const closed: string[] = [];
  let sends = 0;
  let reads = 0;
  const store: RelayStore = {
    readBlocks: async (_writer, sequence) => {
      reads += 1;
      return sequence < 3 ? [block] : [];
    },
    acknowledge: async () => undefined,
    adoptOrphans: async () => orphans.splice(0),
    closeWriter: async (writer) => void closed.push(writer),
    close: async () => undefined,
  };
  const publisher = {
    publish: async (messages: readonly Message[]) => {
      sends += 1;
      if (!loses(sends)) for (const { value } of messages) ledger.add(Number(value.toString()));
    },
  };
  const watermarks = async (writers: readonly { writer: string; from: number }[]) =>
    writers.map(({ writer }) => ({ writer, sequence: ledger.size }));
  const relay = new Relay({ store, publisher, ledger: { watermarks }, keyOf: () => 'key', timing: TIMING });
  return { relay, ledger, closed, block, sends: () => sends, reads: () => reads };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

describe('a relay', () => {
  it('sends its own writer’s events until the ledger holds them', async () => {
    const { relay, ledger, block, reads } = scene();
    relay.start();
    relay.committed(block);
    await until(() => ledger.size === 3 && relay.unacknowledged === 0);
    await relay.stop();
    expect(reads()).toBe(0);
  });

  it('sends again what a broker acknowledged and lost', async () => {
    const { relay, ledger, sends, block, reads } = scene({ loses: (time) => time === 1 });
    relay.start();
    relay.committed(block);
    await until(() => ledger.size === 3);
    await relay.stop();
    expect(sends()).toBe(2);
    expect(reads()).toBe(1);
  });

  it('adopts an orphaned writer, sends its tail and closes it', async () => {
    const { relay, closed } = scene({ orphans: [{ writer: 'writer', acknowledged: 0, last: 3 }] });
    relay.start();
    await until(() => closed.length === 1);
    await relay.stop();
    expect(closed).toEqual(['writer']);
  });
});

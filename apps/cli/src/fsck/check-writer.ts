import { EventFormatError, parseEvent, type AuditEvent } from '@kms/contracts';
import { BlockFormatError, chainHash, GENESIS, splitBlock, type Block } from '@kms/journal';
import { BadEvidence } from './bad-evidence.ts';

/** What the ledger holds of a writer. */
export interface WriterRecord {
  sequence: number;
  bytes: Buffer;
  /** Whether it is a message that was parked; its record may have been in the ledger all the same, and have left it. */
  isParked?: boolean;
}

/** How many of a writer's events have left the ledger, and the highest number among them, up to which it had all. */
export interface RetiredEvents {
  events: number;
  through: number;
}
export const NOTHING_RETIRED: RetiredEvents = { events: 0, through: 0 };

/**
 * Holds a writer's journal against its numbers and its chain, and the ledger's records of it against the journal: those up to `through` must
 * be there, but for as many as were retired, and none that was not committed. Both come in the order of their numbers and are read once, side by side. Answers how
 * many events were committed. Rejects with {@link BadEvidence}, or with what the sources reject with.
 */
export async function checkWriter(
  writer: string,
  blocks: AsyncIterable<Omit<Block, 'writer'>>,
  records: AsyncIterable<WriterRecord>,
  through: number,
  retired: RetiredEvents,
): Promise<number> {
  const held = records[Symbol.asyncIterator]();
  let record = await held.next();
  let [committed, left, parked] = [0, 0, 0];
  let chain = GENESIS;
  for await (const block of blocks) {
    if (block.firstSequence !== committed + 1)
      throw new BadEvidence(`The journal of writer ${writer} has no block with number ${committed + 1}.`);
    for (const bytes of split(writer, block)) {
      committed += 1;
      const where = `Event ${writer}/${committed}`;
      requirePlace(where, bytes, { writer, sequence: committed, previoushash: chain.toString('hex') });
      chain = chainHash(chain, bytes);
      if (record.done !== true && record.value.sequence < committed)
        throw new BadEvidence(`Event ${writer}/${record.value.sequence} is in the ledger twice.`);
      if (record.done !== true && record.value.sequence === committed) {
        if (!record.value.bytes.equals(bytes)) throw new BadEvidence(`${where} is not in the ledger as it was committed.`);
        if (record.value.isParked === true && committed <= retired.through) parked += 1;
        record = await held.next();
      } else if (committed <= retired.through) {
        left += 1;
      } else if (committed <= through) {
        throw new BadEvidence(`${where} was committed and is not in the ledger.`);
      }
    }
    if (!chain.equals(block.hash))
      throw new BadEvidence(`The journal of writer ${writer} has a chain hash at ${committed} that is not that of its events.`);
  }
  if (committed < through) throw new BadEvidence(`The journal of writer ${writer} ended at ${through} and ends at ${committed} now.`);
  if (left > retired.events || left + parked < retired.events)
    throw new BadEvidence(
      `Of writer ${writer} ${left} events up to ${retired.through} are not in the ledger, and ${retired.events} were retired.`,
    );
  if (record.done !== true) throw new BadEvidence(`Event ${writer}/${record.value.sequence} is in the ledger and was never committed.`);
  return committed;
}

function split(writer: string, block: Omit<Block, 'writer'>): Buffer[] {
  try {
    return splitBlock(block);
  } catch (error) {
    if (!(error instanceof BlockFormatError)) throw error;
    throw new BadEvidence(`The journal of writer ${writer} has a block at ${block.firstSequence} that is none: ${error.message}`);
  }
}

function requirePlace(where: string, bytes: Buffer, place: Pick<AuditEvent, 'writer' | 'previoushash'> & { sequence: number }): void {
  const event = readEvent(where, bytes);
  if (event.writer !== place.writer || Number(event.sequence) !== place.sequence)
    throw new BadEvidence(`${where} is in the journal under a number that it does not have.`);
  if (event.previoushash !== place.previoushash) throw new BadEvidence(`${where} does not continue its writer’s chain in the journal.`);
}

/** An event's bytes read, or {@link BadEvidence}. */
export function readEvent(where: string, bytes: Buffer): AuditEvent {
  try {
    return parseEvent(bytes);
  } catch (error) {
    if (!(error instanceof EventFormatError)) throw error;
    throw new BadEvidence(`${where} is no event: ${error.message}`);
  }
}

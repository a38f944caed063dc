import { EventFormatError, parseEvent, type AuditEvent } from '@kms/contracts';
import { BlockFormatError, chainHash, GENESIS, splitBlock, type Block } from '@kms/journal';
import { BadEvidence } from './bad-evidence.ts';

/** What the ledger holds of a writer. */
export interface WriterRecord {
  sequence: number;
  bytes: Buffer;
}

/**
 * Holds a writer's journal against its numbers and its chain, and the ledger's records of it against the journal: those up to `through` must
 * be there, and none that was not committed. Both come in the order of their numbers and are read once, side by side. Answers how
 * many events were committed. Rejects with {@link BadEvidence}, or with what the sources reject with.
 */
export async function checkWriter(
  writer: string,
  blocks: AsyncIterable<Omit<Block, 'writer'>>,
  records: AsyncIterable<WriterRecord>,
  through: number,
): Promise<number> {
  const held = records[Symbol.asyncIterator]();
  let record = await held.next();
  let committed = 0;
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
        record = await held.next();
      } else if (committed <= through) {
        throw new BadEvidence(`${where} was committed and is not in the ledger.`);
      }
    }
    if (!chain.equals(block.hash))
      throw new BadEvidence(`The journal of writer ${writer} has a chain hash at ${committed} that is not that of its events.`);
  }
  if (committed < through) throw new BadEvidence(`The journal of writer ${writer} ended at ${through} and ends at ${committed} now.`);
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

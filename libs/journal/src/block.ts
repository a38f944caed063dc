import { hash } from 'node:crypto';

/** Bytes of a chain hash. */
export const HASH_BYTES = 32;
const LENGTH_BYTES = 4;

/** The chain's hash before the first event of a writer. */
export const GENESIS: Buffer = Buffer.alloc(HASH_BYTES);

/** A place in a writer's chain, as an event states it. */
export interface Position {
  writer: string;
  /** From 1, without gaps. */
  sequence: number;
  /** Lower-case hexadecimal. */
  previousHash: string;
}

/** Makes an event's exact text for its place. It must be pure: it may be asked again for another place. */
export type PlaceEvent = (position: Position) => string;

/** How far a writer has come: the sequence number of its last event, and the chain's hash after it. */
export interface Head {
  sequence: number;
  hash: Buffer;
}

/** One flush of a writer's events: one row of the journal. */
export interface Block {
  writer: string;
  firstSequence: number;
  lastSequence: number;
  /** For each event: its length as a 32-bit big-endian number, then its bytes. */
  events: Buffer;
  /** The chain's hash after the last event: 32 bytes. */
  hash: Buffer;
}

/** What an append is answered with once its event is durable. */
export interface Placement {
  writer: string;
  sequence: number;
  /** The chain's hash after the event: 32 bytes. */
  hash: Buffer;
}

/** One step of the chain: `SHA-256(previous hash ‖ bytes)`. */
export function chainHash(previous: Buffer, bytes: Uint8Array): Buffer {
  return hash('sha256', Buffer.concat([previous, bytes], HASH_BYTES + bytes.length), 'buffer');
}

/** Places events after `head`, in order, and frames them as one block. `placements` are in the events' order. */
export function buildBlock(writer: string, head: Head, events: readonly PlaceEvent[]): { block: Block; placements: Placement[] } {
  const frames: Buffer[] = [];
  const placements: Placement[] = [];
  let { sequence, hash: chain } = head;
  for (const place of events) {
    sequence += 1;
    const bytes = Buffer.from(place({ writer, sequence, previousHash: chain.toString('hex') }), 'utf8');
    chain = chainHash(chain, bytes);
    frames.push(frameLength(bytes.length), bytes);
    placements.push({ writer, sequence, hash: chain });
  }
  return {
    block: { writer, firstSequence: head.sequence + 1, lastSequence: sequence, events: Buffer.concat(frames), hash: chain },
    placements,
  };
}

function frameLength(length: number): Buffer {
  const prefix = Buffer.allocUnsafe(LENGTH_BYTES);
  prefix.writeUInt32BE(length);
  return prefix;
}

/** Stored bytes that are not a block: something other than the journal wrote them, or a disk did. */
export class BlockFormatError extends Error {
  override readonly name = 'BlockFormatError';
}

/** Splits a block's bytes into its events. Throws {@link BlockFormatError} where the lengths do not end exactly at the end. */
export function splitBlock({ firstSequence, lastSequence, events }: Pick<Block, 'firstSequence' | 'lastSequence' | 'events'>): Buffer[] {
  const split: Buffer[] = [];
  let offset = 0;
  while (offset < events.length) {
    if (events.length - offset < LENGTH_BYTES) throw new BlockFormatError('A block ends inside a length.');
    const start = offset + LENGTH_BYTES;
    const end = start + events.readUInt32BE(offset);
    if (end > events.length) throw new BlockFormatError('A block ends inside an event.');
    split.push(events.subarray(start, end));
    offset = end;
  }
  if (split.length !== lastSequence - firstSequence + 1) throw new BlockFormatError('A block does not hold as many events as it says.');
  return split;
}

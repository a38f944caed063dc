import { createHash } from 'node:crypto';
import { BadEvidence } from './bad-evidence.ts';
import { readEvent } from './check-writer.ts';

/** A record that no journal has, and the message that is kept beside it, if there is one. */
export interface UncommittedRecord {
  organizationId: string;
  index: number;
  writer: string;
  sequence: number;
  bytes: Buffer;
  /** Null where none is kept. */
  topic: string | null;
  partition: number | null;
  offset: string | null;
  value: Buffer | null;
}

/** What no journal committed may be in the ledger as a parked message only, with its raw bytes beside it. Throws {@link BadEvidence}. */
export function requireParked({
  organizationId,
  index,
  writer,
  sequence,
  bytes,
  topic,
  partition,
  offset,
  value,
}: UncommittedRecord): void {
  const where = `Record ${index} of ${organizationId}`;
  const { type, source, data } = readEvent(where, bytes);
  if (type !== 'kms.message.parked.v1' || source !== '/audit' || data.parked === undefined)
    throw new BadEvidence(`Event ${writer}/${sequence} is in the ledger and was never committed.`);
  if (topic === null) throw new BadEvidence(`${where} is of a parked message that is not kept.`);
  const { parked } = data;
  const sha256 = createHash('sha256')
    .update(value ?? Buffer.alloc(0))
    .digest('hex');
  const isOfIt = parked.topic === topic && parked.partition === partition && parked.offset === offset && parked.sha256 === sha256;
  if (!isOfIt) throw new BadEvidence(`${where} is not of the parked message that is kept beside it.`);
}

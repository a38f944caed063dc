import { hash } from 'node:crypto';
import { MAX_ENTRY_BYTES, SHA256_TREE } from '@kms/merkle';
import { auditData, EventFormatError, parseEvent, prepareEvent, type AuditEvent, type Id } from '@kms/contracts';

/** A message as it came from the topic. */
export interface RawMessage {
  topic: string;
  partition: number;
  offset: bigint;
  key: Buffer | null;
  value: Buffer | null;
}

/** One leaf to append: an event's exact bytes, and what is known of them. */
export interface Leaf {
  bytes: Buffer;
  /** The RFC 6962 leaf hash of the bytes. */
  hash: Buffer;
  event: AuditEvent;
  /** The message that the leaf came with. */
  message: RawMessage;
  /** Why the message could not be taken as an event, where the leaf is the record of that. */
  parked: ParkReason | null;
}

export type ParkReason = 'unreadable' | 'too-long' | 'wrong-key' | 'conflict';

export function toLeaf(message: RawMessage, bytes: Buffer, event: AuditEvent, parked: ParkReason | null): Leaf {
  const { buffer, byteOffset, length } = SHA256_TREE.leaf(bytes);
  return { bytes, hash: Buffer.from(buffer, byteOffset, length), event, message, parked };
}

/** Reads a message as an event, or says why it must be parked. */
export function classify({ key, value }: RawMessage): { event: AuditEvent } | { park: ParkReason } {
  if (value === null) return { park: 'unreadable' };
  // Once in the tree it could neither be left out of its bundle nor cut.
  if (value.length > MAX_ENTRY_BYTES) return { park: 'too-long' };
  try {
    const event = parseEvent(value);
    return key?.toString('latin1') === event.data.organizationId ? { event } : { park: 'wrong-key' };
  } catch (error) {
    if (error instanceof EventFormatError) return { park: 'unreadable' };
    throw error;
  }
}

/**
 * The record of a parked message, in the operator's organization. Its place follows from the message's key and bytes alone, wherever on the topic
 * they stand: what is sent again is parked once.
 */
export function parkMessage(message: RawMessage, reason: ParkReason, operatorOrganizationId: Id, time: string): Leaf {
  const sha256 = hash('sha256', message.value ?? Buffer.alloc(0), 'hex');
  const key = message.key?.toString('hex') ?? 'none';
  const identity = hash('sha256', `${message.topic}/${key}/${reason}/${message.value === null ? 'none' : sha256}`, 'hex');
  const place = prepareEvent({
    id: identity.slice(0, 24),
    source: '/audit',
    type: 'kms.message.parked.v1',
    time,
    data: {
      ...auditData({ organizationId: operatorOrganizationId, action: 'park', outcome: 'error', reason }),
      parked: { topic: message.topic, partition: message.partition, offset: message.offset.toString(), sha256 },
    },
  });
  const bytes = Buffer.from(place({ writer: identity.slice(24, 48), sequence: 1, previousHash: '0'.repeat(64) }), 'utf8');
  return toLeaf(message, bytes, parseEvent(bytes), reason);
}

import { auditData, prepareEvent, type Id } from '@kms/contracts';
import { ED25519_NOTE, writeSignerKey } from '@kms/merkle';
import { createLogger } from '@kms/platform';
import type pg from 'pg';
import { AppendBatch } from '../ingest/append-batch.ts';
import { logKeysOf, parseSignerKeys } from './log-keys.ts';

export const ORGANIZATION = '1'.repeat(24);

/** A signer key of the deployment `example.org`, always the same for one seed. */
export const signerKey = (seed: number) =>
  writeSignerKey({ name: 'example.org/audit', type: ED25519_NOTE.type, seed: Buffer.alloc(32, seed) });

/** What signs with the keys of a text. */
export const parseLogKeys = (text: string) => logKeysOf(parseSignerKeys(text));

/** Each organization has a writer of its own. */
function event(organizationId: Id, sequence: number): Buffer {
  const data = auditData({ organizationId, action: 'reveal', outcome: 'success' });
  const id = sequence.toString(16).padStart(24, '0');
  const place = prepareEvent({ id, source: '/vault', type: 'kms.secret.revealed.v1', time: '2026-01-01T00:00:00.000Z', data });
  return Buffer.from(place({ writer: organizationId, sequence, previousHash: '0'.repeat(64) }));
}

/** Appends an organization's events up to `last` that are not there yet, in one batch. */
export async function append(pool: pg.Pool, last: number, organizationId: Id = ORGANIZATION): Promise<void> {
  const ledger = new AppendBatch({
    pool,
    operatorOrganizationId: '0'.repeat(24),
    logger: createLogger('test'),
    now: () => new Date('2026-01-01T00:00:00Z'),
  });
  const messages = Array.from({ length: last }, (_, index) => ({
    offset: BigInt(index),
    key: Buffer.from(organizationId),
    value: event(organizationId, index + 1),
  }));
  await ledger.handle({ topic: 'topic', partition: 0, messages, nextOffset: BigInt(last) });
}

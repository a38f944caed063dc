import type { Id, RevealReply, RevealRequest } from '@kms/contracts';
import { JournalError, type Journal, type Placement } from '@kms/journal';
import type pg from 'pg';
import { revealEvent } from '../domain/audit-event.ts';
import type { RecordCache, RevealRecord } from './record-cache.ts';

export interface RevealDependencies {
  records: Pick<RecordCache, 'get' | 'reload'>;
  journal: Pick<Journal<pg.ClientBase>, 'append'>;
  nextId: () => Id;
  now: () => Date;
}

/**
 * Answers a secret's content, after the record of it is durable (design rule 1), and only while the stored entry has the revision that
 * the gateway decided on (rule 2): the journal's commit is fenced by it.
 */
export async function revealSecret({ records, journal, nextId, now }: RevealDependencies, request: RevealRequest): Promise<RevealReply> {
  const { caller, handler, version, revision } = request;
  const key = { organizationId: caller.organizationId, environment: caller.environment, handler, version };
  const record = await records.get(key, revision);
  if (record?.policy.revision !== revision) return policyChanged(record);
  if (record.content === null) return { status: 'unknown-version' };

  const { prepared, encoding, version: number } = record.content;
  const content = prepared.open().toString(encoding);
  const { entryId } = record.policy;
  const id = nextId();
  const event = revealEvent(id, now().toISOString(), caller, { entryId, handler, version: number, revision });
  let receipt: string;
  try {
    receipt = toReceipt(id, await journal.append(event, { key: entryId, revision }));
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    return error.code === 'fenced' ? policyChanged(await records.reload(key)) : { status: 'audit-unavailable' };
  }
  return { status: 'revealed', content, encoding, version: number, receipt };
}

const policyChanged = (record: RevealRecord | null): RevealReply => ({ status: 'policy-changed', policy: record?.policy ?? null });

/** What a client can later have the record of its reveal proven by: the record's id and its place in the writer's chain. */
const toReceipt = (id: Id, { writer, sequence, hash }: Placement) =>
  `${id}; writer=${writer}; sequence=${sequence}; hash=${hash.toString('hex')}`;

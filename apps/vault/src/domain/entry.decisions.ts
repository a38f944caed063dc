import type { Encoding, Environment, Handler, Id, RefusalCode, UpdateRequest } from '@kms/contracts';
import type { Entry, EntryEvent } from './entry.ts';

/** A command that the entry's state does not allow. */
export class Refusal extends Error {
  override readonly name = 'Refusal';

  constructor(readonly code: RefusalCode) {
    super(`The change was refused: ${code}.`);
  }
}

export interface NewEntry {
  id: Id;
  organizationId: Id;
  environment: Environment;
  handler: Handler;
  name: string;
  whitelist: string[];
  properties: Record<string, string>;
  expiresAt: string | null;
  encoding: Encoding;
}

/** A new entry begins enabled, with version 1. That its handler is free is the store's to say. */
export function create({ id, organizationId, environment, handler, ...change }: NewEntry, time: string): EntryEvent {
  return {
    type: 'kms.entry.created.v1',
    entryId: id,
    organizationId,
    environment,
    handler,
    revision: 1,
    time,
    change: { ...change, enabled: true, expiresAt: normalizeTime(change.expiresAt) },
  };
}

/** Changes the members that are given. Refuses with `stale-revision` where the change was made for another revision. */
export function update(
  entry: Entry | null,
  { changes, expectedRevision }: Pick<UpdateRequest, 'changes' | 'expectedRevision'>,
  time: string,
): EntryEvent {
  const { id, revision } = existing(entry);
  if (expectedRevision !== null && expectedRevision !== revision) throw new Refusal('stale-revision');
  const { name, whitelist, properties, enabled, expiresAt } = changes;
  return {
    type: 'kms.entry.updated.v1',
    entryId: id,
    revision: revision + 1,
    time,
    change: {
      ...(name === undefined ? {} : { name }),
      ...(whitelist === undefined ? {} : { whitelist }),
      ...(properties === undefined ? {} : { properties }),
      ...(enabled === undefined ? {} : { enabled }),
      ...(expiresAt === undefined ? {} : { expiresAt: normalizeTime(expiresAt) }),
    },
  };
}

/** A new version after the last one, which is the current one from then on. */
export function addVersion(entry: Entry | null, lastVersion: number, encoding: Encoding, time: string): EntryEvent {
  const { id, revision } = existing(entry);
  return {
    type: 'kms.entry.version-added.v1',
    entryId: id,
    revision: revision + 1,
    version: lastVersion + 1,
    time,
    change: { encoding },
  };
}

/** A soft delete: the entry is gone for every reader, and its handler stays taken so that it can be restored. */
export function remove(entry: Entry | null, time: string): EntryEvent {
  const { id, revision } = existing(entry);
  return { type: 'kms.entry.deleted.v1', entryId: id, revision: revision + 1, time };
}

/** The entry, unless it never was or is deleted: to a caller the two are the same. */
export function existing(entry: Entry | null): Entry {
  if (entry === null || entry.deletedAt !== null) throw new Refusal('unknown-handler');
  return entry;
}

const normalizeTime = (time: string | null) => (time === null ? null : new Date(time).toISOString());

import type { Encoding, EntryConfiguration, Environment, Handler, Id, Policy } from '@kms/contracts';

/** One content of an entry, without the content itself, which is sealed elsewhere. An entry may have thousands: they are no part of its state. */
export interface EntryVersion {
  /** From 1. */
  number: number;
  encoding: Encoding;
  createdAt: string;
}

/** An entry: a named secret, its whitelist and its properties. Times are RFC 3339 in UTC with milliseconds. */
export interface Entry {
  id: Id;
  organizationId: Id;
  environment: Environment;
  handler: Handler;
  name: string;
  /** Canonical addresses and CIDR ranges. */
  whitelist: string[];
  properties: Record<string, string>;
  enabled: boolean;
  expiresAt: string | null;
  /** The number of the version that a reveal answers. */
  currentVersion: number;
  /** How many events made this state: the optimistic lock, and what reveals are fenced by. */
  revision: number;
  createdAt: string;
  updatedAt: string;
  deletedAt: string | null;
}

type Changeable = Pick<Entry, 'name' | 'whitelist' | 'properties' | 'enabled' | 'expiresAt'>;

interface Change {
  entryId: Id;
  /** The revision that the event made. */
  revision: number;
  time: string;
}

export type EntryEvent =
  | (Change & {
      type: 'kms.entry.created.v1';
      organizationId: Id;
      environment: Environment;
      handler: Handler;
      change: Changeable & { encoding: Encoding };
    })
  | (Change & { type: 'kms.entry.updated.v1'; change: Partial<Changeable> })
  | (Change & { type: 'kms.entry.version-added.v1'; version: number; change: { encoding: Encoding } })
  | (Change & { type: 'kms.entry.deleted.v1' });

/** The state before the first event: there is no entry. */
export const initialState: Entry | null = null;

/** The state after one more event. Throws where the event is not the next one of this entry. */
export function evolve(entry: Entry | null, event: EntryEvent): Entry {
  if (event.revision !== (entry?.revision ?? 0) + 1) {
    throw new Error(`Event ${event.revision} of entry ${event.entryId} does not follow revision ${entry?.revision ?? 0}.`);
  }
  if (event.type === 'kms.entry.created.v1') return created(event);
  if (entry === null) throw new Error(`Entry ${event.entryId} begins with ${event.type}.`);

  const next = { ...entry, revision: event.revision, updatedAt: event.time };
  switch (event.type) {
    case 'kms.entry.updated.v1':
      return { ...next, ...event.change };
    case 'kms.entry.version-added.v1':
      return { ...next, currentVersion: event.version };
    case 'kms.entry.deleted.v1':
      return { ...next, deletedAt: event.time };
  }
}

function created({
  entryId,
  organizationId,
  environment,
  handler,
  change,
  revision,
  time,
}: EntryEvent & { type: 'kms.entry.created.v1' }): Entry {
  const { name, whitelist, properties, enabled, expiresAt } = change;
  return {
    id: entryId,
    organizationId,
    environment,
    handler,
    name,
    whitelist,
    properties,
    enabled,
    expiresAt,
    currentVersion: 1,
    revision,
    createdAt: time,
    updatedAt: time,
    deletedAt: null,
  };
}

/** The version that an event adds, or null. */
export function versionOf(event: EntryEvent): EntryVersion | null {
  const { time: createdAt } = event;
  if (event.type === 'kms.entry.created.v1') return { number: 1, encoding: event.change.encoding, createdAt };
  if (event.type === 'kms.entry.version-added.v1') return { number: event.version, encoding: event.change.encoding, createdAt };
  return null;
}

export function toConfiguration(entry: Entry): EntryConfiguration {
  const { id, name, handler, whitelist, properties, environment, enabled, expiresAt, currentVersion, revision, createdAt, updatedAt } =
    entry;
  return {
    id,
    name,
    handler,
    whitelist,
    properties,
    environment,
    enabled,
    expiresAt,
    version: currentVersion,
    revision,
    createdAt,
    updatedAt,
  };
}

export function toPolicy({ id, revision, whitelist, enabled, expiresAt, currentVersion }: Entry): Policy {
  return {
    entryId: id,
    revision,
    whitelist,
    enabled,
    expiresAt: expiresAt === null ? null : Date.parse(expiresAt),
    version: currentVersion,
  };
}

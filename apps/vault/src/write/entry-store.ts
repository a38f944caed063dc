import type { Environment, Handler, Id } from '@kms/contracts';
import type pg from 'pg';
import type { Entry, EntryVersion } from '../domain/entry.ts';

/** An entry's row, as PostgreSQL answers it. */
export interface EntryRow {
  id: Id;
  organization_id: Id;
  environment: Environment;
  handler: Handler;
  name: string;
  whitelist: string[];
  properties: Record<string, string>;
  enabled: boolean;
  expires_at: Date | null;
  current_version: number;
  revision: string;
  created_at: Date;
  updated_at: Date;
  deleted_at: Date | null;
}

export function fromRow(row: EntryRow): Entry {
  return {
    id: row.id,
    organizationId: row.organization_id,
    environment: row.environment,
    handler: row.handler,
    name: row.name,
    whitelist: row.whitelist,
    properties: row.properties,
    enabled: row.enabled,
    expiresAt: row.expires_at?.toISOString() ?? null,
    currentVersion: row.current_version,
    revision: Number(row.revision),
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
    deletedAt: row.deleted_at?.toISOString() ?? null,
  };
}

/** The entry under a handler, deleted or not, locked until the transaction ends. */
export async function lockEntry(
  client: pg.ClientBase,
  { organizationId, environment, handler }: Pick<Entry, 'organizationId' | 'environment' | 'handler'>,
): Promise<Entry | null> {
  const { rows } = await client.query<EntryRow>({
    name: 'lock-entry',
    text: 'SELECT * FROM entries WHERE organization_id = $1 AND environment = $2 AND handler = $3 FOR UPDATE',
    values: [organizationId, environment, handler],
  });
  return rows[0] === undefined ? null : fromRow(rows[0]);
}

/**
 * The number of an entry's newest version. To be asked in a statement of its own after {@link lockEntry}: one that waits for the lock sees
 * the entry as it is then, but everything else as it was before.
 */
export async function lastVersion(client: pg.ClientBase, entryId: Id): Promise<number> {
  const { rows } = await client.query<{ number: number }>({
    name: 'last-version',
    text: 'SELECT number FROM entry_versions WHERE entry_id = $1 ORDER BY number DESC LIMIT 1',
    values: [entryId],
  });
  return rows[0]?.number ?? 0;
}

/** Stores a new entry. Throws PostgreSQL's unique violation where its handler is taken. */
export async function insertEntry(client: pg.ClientBase, entry: Entry): Promise<void> {
  await client.query({
    text: `INSERT INTO entries (id, organization_id, environment, handler, created_at, ${MUTABLE_COLUMNS.join(', ')})
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
    values: [entry.id, entry.organizationId, entry.environment, entry.handler, entry.createdAt, ...mutableValues(entry)],
  });
}

/** Stores the state after `previous`. Throws where the stored revision is not the previous one's. */
export async function updateEntry(client: pg.ClientBase, entry: Entry, previous: Entry): Promise<void> {
  const assignments = MUTABLE_COLUMNS.map((column, index) => `${column} = $${index + 3}`).join(', ');
  const { rowCount } = await client.query({
    text: `UPDATE entries SET ${assignments} WHERE id = $1 AND revision = $2`,
    values: [entry.id, previous.revision, ...mutableValues(entry)],
  });
  if (rowCount !== 1) throw new Error(`Entry ${entry.id} is not at revision ${previous.revision} any more.`);
}

const MUTABLE_COLUMNS = [
  'name',
  'whitelist',
  'properties',
  'enabled',
  'expires_at',
  'current_version',
  'revision',
  'updated_at',
  'deleted_at',
] as const;

const mutableValues = (entry: Entry) => [
  entry.name,
  JSON.stringify(entry.whitelist),
  JSON.stringify(entry.properties),
  entry.enabled,
  entry.expiresAt,
  entry.currentVersion,
  entry.revision,
  entry.updatedAt,
  entry.deletedAt,
];

export async function insertVersion(client: pg.ClientBase, entryId: Id, { number, encoding, createdAt }: EntryVersion): Promise<void> {
  await client.query('INSERT INTO entry_versions (entry_id, number, encoding, created_at) VALUES ($1, $2, $3, $4)', [
    entryId,
    number,
    encoding,
    createdAt,
  ]);
}

import type { Encoding, Environment, Handler, Id } from '@kms/contracts';
import type pg from 'pg';
import type { Entry, EntryState, EntryVersion } from '../domain/entry.ts';

/** An entry's row, as PostgreSQL answers it. */
export interface StateRow {
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

/** An entry's row with its versions. */
export interface EntryRow extends StateRow {
  versions: { number: number; encoding: Encoding; created_at: string }[];
}

export const SELECT_ENTRY = `SELECT entries.*, (
    SELECT coalesce(json_agg(json_build_object('number', number, 'encoding', encoding, 'created_at', created_at) ORDER BY number), '[]')
    FROM entry_versions WHERE entry_id = entries.id) AS versions
  FROM entries`;

export function stateFromRow(row: StateRow): EntryState {
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

export function fromRow(row: EntryRow): Entry {
  const versions = row.versions.map(({ number, encoding, created_at }) => ({ number, encoding, createdAt: new Date(created_at).toISOString() }));
  return { ...stateFromRow(row), versions };
}

/** The entry under a handler, deleted or not, locked until the transaction ends. */
export async function lockEntry(
  client: pg.ClientBase,
  { organizationId, environment, handler }: Pick<Entry, 'organizationId' | 'environment' | 'handler'>,
): Promise<Entry | null> {
  const { rows } = await client.query<EntryRow>({
    name: 'lock-entry',
    text: `${SELECT_ENTRY} WHERE organization_id = $1 AND environment = $2 AND handler = $3 FOR UPDATE OF entries`,
    values: [organizationId, environment, handler],
  });
  return rows[0] === undefined ? null : fromRow(rows[0]);
}

/** Stores a new entry. Throws PostgreSQL's unique violation where its handler is taken. */
export async function insertEntry(client: pg.ClientBase, entry: Entry): Promise<void> {
  await client.query({
    text: `INSERT INTO entries (id, organization_id, environment, handler, created_at, ${MUTABLE_COLUMNS.join(', ')})
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
    values: [entry.id, entry.organizationId, entry.environment, entry.handler, entry.createdAt, ...mutableValues(entry)],
  });
  await insertVersions(client, entry.id, entry.versions);
}

/** Stores the state after `previous`. Throws where the stored revision is not the previous one's. */
export async function updateEntry(client: pg.ClientBase, entry: Entry, previous: Entry): Promise<void> {
  const assignments = MUTABLE_COLUMNS.map((column, index) => `${column} = $${index + 3}`).join(', ');
  const { rowCount } = await client.query({
    text: `UPDATE entries SET ${assignments} WHERE id = $1 AND revision = $2`,
    values: [entry.id, previous.revision, ...mutableValues(entry)],
  });
  if (rowCount !== 1) throw new Error(`Entry ${entry.id} is not at revision ${previous.revision} any more.`);
  await insertVersions(client, entry.id, entry.versions.slice(previous.versions.length));
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

async function insertVersions(client: pg.ClientBase, entryId: Id, versions: readonly EntryVersion[]): Promise<void> {
  for (const { number, encoding, createdAt } of versions) {
    await client.query('INSERT INTO entry_versions (entry_id, number, encoding, created_at) VALUES ($1, $2, $3, $4)', [
      entryId,
      number,
      encoding,
      createdAt,
    ]);
  }
}

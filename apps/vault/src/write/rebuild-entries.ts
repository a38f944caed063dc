import { parseEvent, type AuditEvent } from '@kms/contracts';
import { splitBlock } from '@kms/journal';
import type pg from 'pg';
import { evolve, initialState, versionOf, type Entry, type EntryEvent, type EntryVersion } from '../domain/entry.ts';
import { fromRow, type EntryRow } from './entry-store.ts';

const PAGE = 200;

/** An entry's state, and its versions in order. */
type Whole = Entry & { versions: EntryVersion[] };

const STORED = `SELECT entries.*, (
    SELECT coalesce(json_agg(json_build_object('number', number, 'encoding', encoding, 'createdAt', created_at) ORDER BY number), '[]')
    FROM entry_versions WHERE entry_id = entries.id) AS versions
  FROM entries`;

/** Rebuilds every entry's state from the journal alone (design rule 5). Entries by id; events of one entry are ordered by revision. */
async function rebuildEntries(pool: pg.Pool): Promise<Map<string, Whole>> {
  const histories = new Map<string, EntryEvent[]>();
  for await (const event of readEvents(pool)) {
    const change = toEntryEvent(event);
    if (change === null) continue;
    const history = histories.get(change.entryId);
    if (history === undefined) histories.set(change.entryId, [change]);
    else history.push(change);
  }
  const entries = new Map<string, Whole>();
  for (const [id, history] of histories) {
    const state = history.sort((a, b) => a.revision - b.revision).reduce<Entry | null>(evolve, initialState);
    const versions = history.flatMap((event) => versionOf(event) ?? []);
    if (state !== null) entries.set(id, { ...state, versions });
  }
  return entries;
}

/**
 * The ids of entries whose stored state is not what the journal says, or that only one of the two knows, and the organizations and environments of
 * which another number of entries is stored.
 */
export async function findDifferences(pool: pg.Pool): Promise<string[]> {
  const rebuilt = await rebuildEntries(pool);
  return [...(await findDifferentEntries(pool, rebuilt)), ...(await findDifferentCounts(pool, rebuilt))];
}

async function findDifferentEntries(pool: pg.Pool, rebuilt: ReadonlyMap<string, Whole>): Promise<string[]> {
  const { rows } = await pool.query<EntryRow & { versions: EntryVersion[] }>(STORED);
  const stored = new Map(rows.map((row) => [row.id, toWhole(row)]));
  const ids = new Set([...rebuilt.keys(), ...stored.keys()]);
  return [...ids].filter((id) => canonical(rebuilt.get(id)) !== canonical(stored.get(id))).sort();
}

async function findDifferentCounts(pool: pg.Pool, rebuilt: ReadonlyMap<string, Whole>): Promise<string[]> {
  const counted = new Map<string, number>();
  for (const { organizationId, environment, deletedAt } of rebuilt.values()) {
    const place = `${organizationId}/${environment}`;
    counted.set(place, (counted.get(place) ?? 0) + (deletedAt === null ? 1 : 0));
  }
  const { rows } = await pool.query<{ place: string; entries: number }>(
    `SELECT organization_id || '/' || environment AS place, entries::float8 AS entries FROM entry_counts`,
  );
  const stored = new Map(rows.map(({ place, entries }) => [place, entries]));
  const places = new Set([...counted.keys(), ...stored.keys()]);
  return [...places]
    .filter((place) => (counted.get(place) ?? 0) !== (stored.get(place) ?? 0))
    .sort()
    .map((place) => `the number of entries of ${place}`);
}

const toWhole = (row: EntryRow & { versions: EntryVersion[] }): Whole => ({
  ...fromRow(row),
  versions: row.versions.map((version) => ({ ...version, createdAt: new Date(version.createdAt).toISOString() })),
});

async function* readEvents(pool: pg.Pool): AsyncGenerator<AuditEvent> {
  let after: [writer: string, sequence: string] = ['', '0'];
  for (;;) {
    const { rows } = await pool.query<{ writer: string; first_sequence: string; last_sequence: string; events: Buffer }>(
      `SELECT writer, first_sequence, last_sequence, events FROM journal_blocks
       WHERE (writer, first_sequence) > ($1, $2::bigint) ORDER BY writer, first_sequence LIMIT ${PAGE}`,
      after,
    );
    for (const { first_sequence, last_sequence, events } of rows) {
      const block = { firstSequence: Number(first_sequence), lastSequence: Number(last_sequence), events };
      for (const bytes of splitBlock(block)) yield parseEvent(bytes);
    }
    const last = rows.at(-1);
    if (last === undefined) return;
    after = [last.writer, last.first_sequence];
  }
}

/** A change of an entry as the domain knows it; null for events that change none. Its members were written by the domain itself. */
function toEntryEvent({ type, time, data }: AuditEvent): EntryEvent | null {
  const { entryId, organizationId, environment, handler, revision, version, change } = data;
  if (!type.startsWith('kms.entry.') || type === 'kms.entry.read.v1') return null;
  return { type, time, entryId, organizationId, environment, handler, revision, version, change } as EntryEvent;
}

/** Text that is the same for equal states, whatever the order of their members. */
function canonical(value: unknown): string {
  return value === undefined
    ? ''
    : JSON.stringify(value, (_key, member: unknown) =>
        member !== null && typeof member === 'object' && !Array.isArray(member)
          ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
          : member,
      );
}

import type { Id } from '@kms/contracts';
import { checkConsistency, MerkleError, parseCheckpoint, parseNote, proveConsistency, readCompactRange, TILE_WIDTH } from '@kms/merkle';
import type pg from 'pg';
import { sourceOf } from '../completeness/read-completeness.ts';
import { splitHashes } from '../ingest/extend-tree.ts';
import { RECORD_COLUMNS } from '../ingest/insert-records.ts';
import { LedgerTiles, TileMissingError } from '../proofs/ledger-tiles.ts';
import { readCheckpoint } from '../proofs/prove.ts';
import { changeEras, partitionOf, readEras } from './eras.ts';
import { readRetired } from './read-retired.ts';

/** Tiles whose leaves are read at once. */
const TILES_AT_ONCE = 64;

/** An era cannot be retired, and everything is as it was: the message says in one sentence why. */
export class RetirementError extends Error {
  override readonly name = 'RetirementError';
}

/** What was done with an era. */
export interface Retirement {
  era: number;
  /** Records that left the ledger. */
  retired: number;
  /** Records that went on into the next era: fewer than a tile of each log, so that what leaves is whole tiles. */
  kept: number;
}

/** Leaves of an organization's log that an era has, before `end`. */
interface LogInEra {
  organizationId: Id;
  end: number;
}

/**
 * Takes the records of the oldest era out of the ledger, by the owner's role, and leaves what later proofs need: the hashes of their leaves, as
 * whole tiles, and how many events of which writer they were. The partition is detached and not dropped. Before that it is shown for each
 * log that every leaf is the hash of its record and that the tree of the leaves that leave is the beginning of the newest checkpoint's, and
 * for each writer that the ledger has had all its events up to the last that leaves. All in one transaction on `client`; `pool`, of the same
 * database, reads the tree as it is outside of it. Rejects with {@link RetirementError}.
 */
export function retireEra(client: pg.ClientBase, pool: pg.Pool, era: number): Promise<Retirement> {
  return changeEras(client, async () => {
    await requireOldest(client, era);
    // Nothing is added to an era that has ended once what was under way has come to its end.
    await client.query(`LOCK TABLE ${partitionOf(era)} IN SHARE MODE`);
    const logs = await readLogs(client, era);
    for (const log of logs) await retireLog(client, pool, era, log);
    const retired = await retireWriters(client, era);
    const kept = await keepTails(client, era, logs);
    await client.query(`ALTER TABLE ledger_records DETACH PARTITION ${partitionOf(era)}`);
    return { era, retired, kept };
  });
}

async function requireOldest(client: pg.ClientBase, era: number): Promise<void> {
  const eras = (await readEras(client)).filter(({ isRetired }) => !isRetired);
  const [oldest] = eras;
  if (oldest?.era !== era) throw new RetirementError(`Era ${era} is not the oldest in the ledger: that is ${oldest?.era}.`);
  if (oldest.endedAt === null) throw new RetirementError(`Era ${era} has not ended: records are still appended to it.`);
}

async function readLogs(client: pg.ClientBase, era: number): Promise<LogInEra[]> {
  const { rows } = await client.query<LogInEra>(
    `SELECT organization_id AS "organizationId", (max(leaf_index) + 1)::float8 AS end FROM ${partitionOf(era)} GROUP BY 1 ORDER BY 1`,
  );
  return rows;
}

async function retireLog(client: pg.ClientBase, pool: pg.Pool, era: number, { organizationId, end }: LogInEra): Promise<void> {
  const { size: start } = await readRetired(pool, organizationId);
  const size = end - (end % TILE_WIDTH);
  if (size === start) return;
  const note = await readCheckpoint(pool, organizationId);
  const checkpoint = note === null ? null : parseCheckpoint(parseNote(note).text);
  if (checkpoint === null || checkpoint.size < size) {
    throw new RetirementError(
      `Records of ${organizationId} are under no checkpoint yet (${size} are to leave, ${checkpoint?.size ?? 0} are signed): try again later.`,
    );
  }
  try {
    const nodes = new LedgerTiles(pool, organizationId).nodes(checkpoint.size);
    const tree = await readCompactRange(nodes, start);
    for (let from = start; from < size; from += TILES_AT_ONCE * TILE_WIDTH) {
      const hashes = await readLeaves(client, era, organizationId, from, Math.min(size, from + TILES_AT_ONCE * TILE_WIDTH));
      for (const hash of splitHashes(hashes)) tree.append(hash);
      await keepLeaves(client, organizationId, from / TILE_WIDTH, hashes);
    }
    checkConsistency({ size, root: tree.root() }, checkpoint, await proveConsistency(nodes, size, checkpoint.size));
  } catch (cause) {
    if (!(cause instanceof MerkleError || cause instanceof TileMissingError)) throw cause;
    throw new RetirementError(
      `The first ${size} records of ${organizationId} are not those of its checkpoint of ${checkpoint.size}: kms-audit fsck says what is wrong.`,
      { cause },
    );
  }
  await client.query(
    `INSERT INTO retired_logs (organization_id, era, size, latest)
     SELECT $1, $2, $3, greatest(max(time), (SELECT max(latest) FROM retired_logs WHERE organization_id = $1)) FROM ${partitionOf(era)} WHERE organization_id = $1 AND leaf_index < $3`,
    [organizationId, era, size],
  );
}

/** The hashes of an era's leaves, each shown to be that of its record. */
async function readLeaves(client: pg.ClientBase, era: number, organizationId: Id, from: number, to: number): Promise<Buffer> {
  const { rows } = await client.query<{ hashes: Buffer | null; bad: number | null }>(
    `SELECT string_agg(leaf_hash, ''::bytea ORDER BY leaf_index) AS hashes,
            (min(leaf_index) FILTER (WHERE leaf_hash <> sha256('\\x00'::bytea || bytes)))::float8 AS bad
     FROM ${partitionOf(era)} WHERE organization_id = $1 AND leaf_index >= $2 AND leaf_index < $3`,
    [organizationId, from, to],
  );
  const { hashes, bad } = rows[0] as { hashes: Buffer | null; bad: number | null };
  if (bad !== null) throw new RetirementError(`Record ${bad} of ${organizationId} has a hash that is not that of its bytes.`);
  if (hashes?.length !== (to - from) * 32)
    throw new RetirementError(`Records of ${organizationId} from ${from} to ${to} are missing in era ${era}.`);
  return hashes;
}

async function keepLeaves(client: pg.ClientBase, organizationId: Id, tile: number, hashes: Buffer): Promise<void> {
  const bytes = TILE_WIDTH * 32;
  await client.query(
    `INSERT INTO retired_leaves (organization_id, tile, hashes)
     SELECT $1, $2::bigint + place, substr($3::bytea, place * ${bytes} + 1, ${bytes}) FROM generate_series(0, $4::int - 1) AS place`,
    [organizationId, tile, hashes, hashes.length / bytes],
  );
}

interface LeavingWriter {
  writer: Id;
  events: number;
  through: number;
  checked: number;
  bytes: Buffer;
}

/** Notes of which writers the events are that leave, and answers how many leave. */
async function retireWriters(client: pg.ClientBase, era: number): Promise<number> {
  const partition = partitionOf(era);
  const { rows } = await client.query<LeavingWriter>(
    `SELECT writer, events::float8 AS events, through::float8 AS through, coalesce(checked, 0)::float8 AS checked, bytes FROM (
       SELECT writer, count(*) AS events, max(sequence) AS through FROM ${partition}
       JOIN retired_logs AS log USING (organization_id) WHERE log.era = $1 AND leaf_index < log.size GROUP BY writer) AS leaving
     CROSS JOIN LATERAL (SELECT max(sequence) AS checked FROM writer_chains WHERE writer = leaving.writer) AS chain
     JOIN ${partition} AS last USING (writer) WHERE last.sequence = through ORDER BY writer`,
    [era],
  );
  const open = rows.find(({ through, checked }) => through > checked);
  if (open !== undefined) {
    throw new RetirementError(
      `Writer ${open.writer} is not known to be complete up to event ${open.through}, which would leave, but up to ${open.checked}: ` +
        'try again later, or see what GET /audit/completeness.json says is missing.',
    );
  }
  const sources = rows.map(({ bytes }) => sourceOf(bytes));
  await client.query(
    `INSERT INTO retired_writers (writer, era, source, events, through)
     SELECT writer, $1, source, events, through FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[]) AS leaving (writer, source, events, through)`,
    [era, rows.map(({ writer }) => writer), sources, rows.map(({ events }) => events), rows.map(({ through }) => through)],
  );
  return rows.reduce((sum, { events }) => sum + events, 0);
}

/** Moves the records behind each log's last whole tile on into the next era, as they are. */
async function keepTails(client: pg.ClientBase, era: number, logs: readonly LogInEra[]): Promise<number> {
  const { rowCount } = await client.query(
    `INSERT INTO ledger_records (era, ${RECORD_COLUMNS}) SELECT $1, ${RECORD_COLUMNS} FROM (
       SELECT organization_id, coalesce(max(size), 0) AS size FROM unnest($2::text[]) AS log (organization_id)
       LEFT JOIN retired_logs USING (organization_id) GROUP BY organization_id) AS log
     JOIN ${partitionOf(era)} USING (organization_id) WHERE leaf_index >= log.size`,
    [era + 1, logs.map(({ organizationId }) => organizationId)],
  );
  return rowCount ?? 0;
}

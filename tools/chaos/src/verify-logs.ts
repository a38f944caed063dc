import { EvidenceError, verifyLog, type LogFiles } from '@kms/evidence';
import { ED25519_NOTE, noteVerifier, parseTilePath, parseVerifierKey, TILE_WIDTH, writeEntryBundle, type Tile } from '@kms/merkle';
import pg from 'pg';
import { judgePublished, judgeSent } from './published.ts';
import type { Witness } from './witness.ts';

/** Older checkpoints that a log is compared with, spread over all that were signed. */
const MOST_KNOWN = 32;
/** How long the signer may take for the last records, in milliseconds. */
const SIGNED_WITHIN_MS = 10_000;
const POLL_MS = 250;

const LOGS = `
  SELECT organization_id AS organization, size::float8 AS size,
    coalesce((SELECT max(size) FROM ledger_checkpoints AS signed WHERE signed.organization_id = head.organization_id), 0)::float8 AS signed
  FROM (SELECT organization_id, max(size) AS size FROM ledger_heads GROUP BY organization_id) AS head`;

interface Log {
  organization: string;
  /** How many records it has, and how many of them are under a checkpoint. */
  size: number;
  signed: number;
}

export interface Verification {
  /** The deployment's public key. */
  logKey: string;
  /** Who cosigns what is published, where somebody does. */
  witness?: Pick<Witness, 'key' | 'lastOf'> | undefined;
  /** Answers the checkpoints that are on their topic. */
  sent: () => Promise<readonly string[]>;
}

/**
 * Verifies each organization's log as an auditor does, from what the ledger's database keeps, and what was published of it. Answers a sentence
 * for each log that is refused or whose last records were not signed in time, and for each checkpoint that should not have been published.
 */
export async function verifyLogs(url: string, { logKey, witness, sent }: Verification): Promise<string[]> {
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  try {
    const faults: string[] = [];
    for (const log of await signedLogs(pool)) faults.push(...(await verify(pool, log, logKey, witness)));
    // In this order: what is sent was published before.
    const messages = await sent();
    const { rows } = await pool.query<{ note: Buffer }>('SELECT note FROM ledger_checkpoints');
    return [
      ...faults,
      ...judgeSent(
        messages,
        rows.map(({ note }) => note.toString('utf8')),
      ),
    ];
  } finally {
    await pool.end();
  }
}

async function signedLogs(pool: pg.Pool): Promise<Log[]> {
  for (const deadline = performance.now() + SIGNED_WITHIN_MS; ; await new Promise((resolve) => setTimeout(resolve, POLL_MS))) {
    const { rows } = await pool.query<Log>(LOGS);
    if (rows.every(({ size, signed }) => size === signed) || performance.now() > deadline) return rows;
  }
}

async function verify(
  pool: pg.Pool,
  { organization, size, signed }: Log,
  logKey: string,
  witness: Verification['witness'],
): Promise<string[]> {
  if (size !== signed) return [`The log of ${organization} has ${size} records, and ${signed} of them are under a checkpoint.`];
  const key = parseVerifierKey(logKey);
  const published = await pool.query<{ note: Buffer }>('SELECT note FROM ledger_checkpoints WHERE organization_id = $1 ORDER BY size', [
    organization,
  ]);
  const notes = published.rows.map(({ note }) => note);
  const step = Math.ceil(notes.length / MOST_KNOWN);
  const known: Uint8Array[] = notes.filter((_, index) => index % step === 0);
  const policy = { origin: `${key.name}/${organization}`, logKeys: [noteVerifier(key, [ED25519_NOTE])] };
  const cosigned = (await witness?.lastOf(policy.origin)) ?? null;
  // What the witness keeps is a checkpoint given before, like any that an auditor has kept.
  if (cosigned !== null) known.push(cosigned);
  const faults = witness === undefined ? [] : judgePublished(notes, cosigned, policy, witness.key);
  try {
    await verifyLog(new LedgerFiles(pool, organization), { policy, known });
    return faults;
  } catch (error) {
    if (!(error instanceof EvidenceError)) throw error;
    return [...faults, `The log of ${organization} is refused: ${error.message}`];
  }
}

/** A log's files, made of the rows of the ledger's database. */
class LedgerFiles implements LogFiles {
  constructor(
    readonly pool: pg.Pool,
    readonly organization: string,
  ) {}

  async read(path: string): Promise<Uint8Array | null> {
    if (path === 'checkpoint') return this.#newestCheckpoint();
    const tile = parseTilePath(path);
    return tile.level === 'entries' ? this.#bundle(tile) : this.#tile(tile, tile.level);
  }

  async #newestCheckpoint(): Promise<Buffer | null> {
    const text = 'SELECT note FROM ledger_checkpoints WHERE organization_id = $1 ORDER BY size DESC, signed_at DESC LIMIT 1';
    const { rows } = await this.pool.query<{ note: Buffer }>(text, [this.organization]);
    return rows[0]?.note ?? null;
  }

  async #bundle(tile: Tile): Promise<Uint8Array | null> {
    const text = `SELECT bytes FROM ledger_records WHERE organization_id = $1 AND leaf_index >= $2 AND leaf_index < $3 ORDER BY leaf_index`;
    const { rows } = await this.pool.query<{ bytes: Buffer }>(text, this.#range(tile));
    return rows.length === tile.width ? writeEntryBundle(rows.map(({ bytes }) => bytes)) : null;
  }

  async #tile(tile: Tile, level: number): Promise<Uint8Array | null> {
    const source =
      level === 0
        ? 'SELECT leaf_hash AS hash, leaf_index AS index FROM ledger_records WHERE organization_id = $1 AND leaf_index >= $2 AND leaf_index < $3'
        : `SELECT hash, node_index AS index FROM ledger_nodes
           WHERE organization_id = $1 AND node_index >= $2 AND node_index < $3 AND level = ${level * 8}`;
    const { rows } = await this.pool.query<{ hash: Buffer }>(`${source} ORDER BY index`, this.#range(tile));
    return rows.length === tile.width ? Buffer.concat(rows.map(({ hash }) => hash)) : null;
  }

  #range({ index, width }: Tile): unknown[] {
    return [this.organization, index * TILE_WIDTH, index * TILE_WIDTH + width];
  }
}

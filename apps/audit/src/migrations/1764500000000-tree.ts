import type pg from 'pg';
import { CompactRange } from '@kms/merkle';
import type { MigrationInterface, QueryRunner } from 'typeorm';
import { extendTree } from '../ingest/extend-tree.ts';

/** Leaves that are read at once where records are there already. */
const CHUNK = 10_000;
const APPEND_ONLY = ['ledger_nodes', 'ledger_heads', 'ledger_checkpoints'];
const OLD_INDEXES = ['ledger_by_time', 'ledger_by_handler', 'ledger_by_outcome', 'ledger_by_api_key', 'ledger_by_address'];
/** Columns that repeat what a record's bytes say and that nothing is looked up by. */
const REPEATED = [
  'type',
  'environment',
  'api_key_name',
  'user_agent',
  'request_id',
  'entry_id',
  'version',
  'action',
  'reason',
  'received_at',
];

const STATEMENTS: readonly string[] = [
  `DROP INDEX ${OLD_INDEXES.join(', ')}`,
  `ALTER TABLE ledger_records ${REPEATED.map((column) => `DROP COLUMN ${column}`).join(', ')}`,
  // Read whole and rarely: no time is spent on compressing it while it is appended.
  'ALTER TABLE ledger_records ALTER COLUMN bytes SET STORAGE EXTERNAL',
  'CREATE INDEX ledger_by_handler ON ledger_records (organization_id, handler, leaf_index)',
  'CREATE INDEX ledger_by_api_key ON ledger_records (organization_id, api_key_id, leaf_index)',
  'CREATE INDEX ledger_by_address ON ledger_records (organization_id, address, leaf_index)',
  // Nearly all records are successes, which the primary key finds as fast.
  "CREATE INDEX ledger_by_refusal ON ledger_records (organization_id, outcome, leaf_index) WHERE outcome <> 'success'",
  // Records come nearly in the order of their times: a range of them is a range of blocks.
  'CREATE INDEX ledger_by_time ON ledger_records USING brin (time) WITH (autosummarize = on, pages_per_range = 32)',
  // The tree's complete nodes on every eighth level (8, 16, ...): the roots of its tiles. The ones between are computed where needed.
  `CREATE TABLE ledger_nodes (
     organization_id text COLLATE "C" NOT NULL,
     level smallint NOT NULL CHECK (level > 0 AND level % 8 = 0),
     node_index bigint NOT NULL CHECK (node_index >= 0),
     hash bytea NOT NULL CHECK (length(hash) = 32),
     PRIMARY KEY (organization_id, level, node_index)
   )`,
  // The right edge of the tree after each append: the hashes of its complete subtrees, the largest first.
  `CREATE TABLE ledger_heads (
     organization_id text COLLATE "C" NOT NULL,
     size bigint NOT NULL CHECK (size > 0),
     edge bytea NOT NULL CHECK (length(edge) > 0 AND length(edge) % 32 = 0),
     PRIMARY KEY (organization_id, size)
   )`,
  // Signed tree heads, as they were given out.
  `CREATE TABLE ledger_checkpoints (
     organization_id text COLLATE "C" NOT NULL,
     size bigint NOT NULL CHECK (size > 0),
     signed_at timestamptz NOT NULL,
     note bytea NOT NULL,
     PRIMARY KEY (organization_id, size, signed_at)
   )`,
  ...APPEND_ONLY.flatMap((table) => [
    `CREATE TRIGGER ${table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ${table}
       FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`,
    `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${table}_append_only`,
  ]),
];

/** Each organization's Merkle tree, over the records that are there already too; and a record is its bytes and what it is looked up by. */
export class Tree1764500000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
    const client = (await runner.connect()) as pg.ClientBase;
    const { rows } = await client.query<{ id: string }>('SELECT DISTINCT organization_id AS id FROM ledger_records');
    for (const { id } of rows) await buildTree(client, id);
  }

  /** The columns that went are in the bytes, but the tree is what checkpoints were signed over: it is not taken away. */
  down(): Promise<void> {
    return Promise.reject(new Error('The ledger cannot go back to a time without a tree.'));
  }
}

async function buildTree(client: pg.ClientBase, organizationId: string): Promise<void> {
  const head = CompactRange.empty();
  for (;;) {
    const { rows } = await client.query<{ leaf_hash: Buffer }>(
      `SELECT leaf_hash FROM ledger_records WHERE organization_id = $1 AND leaf_index >= $2 ORDER BY leaf_index LIMIT ${CHUNK}`,
      [organizationId, head.size],
    );
    if (rows.length === 0) return;
    const hashes = rows.map(({ leaf_hash }) => leaf_hash);
    await extendTree(client, organizationId, head, hashes);
  }
}

import type { MigrationInterface, QueryRunner } from 'typeorm';

const APPEND_ONLY = ['ledger_records', 'ledger_nodes', 'ledger_heads', 'ledger_checkpoints', 'parked_messages', 'consumed_offsets'];

const STATEMENTS: readonly string[] = [
  // The bytes are the record; the other columns are what it is looked up by, and can be made from the bytes again.
  `CREATE TABLE ledger_records (
     organization_id text COLLATE "C" NOT NULL,
     leaf_index bigint NOT NULL CHECK (leaf_index >= 0),
     bytes bytea NOT NULL,
     leaf_hash bytea NOT NULL CHECK (length(leaf_hash) = 32),
     writer text COLLATE "C" NOT NULL,
     sequence bigint NOT NULL,
     record_id text COLLATE "C" NOT NULL,
     time timestamptz NOT NULL,
     handler text COLLATE "C",
     outcome text COLLATE "C" NOT NULL,
     api_key_id text COLLATE "C",
     address inet,
     PRIMARY KEY (organization_id, leaf_index),
     UNIQUE (writer, sequence)
   )`,
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
  `CREATE TABLE parked_messages (
     organization_id text COLLATE "C" NOT NULL,
     leaf_index bigint NOT NULL,
     topic text NOT NULL,
     partition integer NOT NULL,
     kafka_offset bigint NOT NULL,
     key bytea,
     value bytea,
     PRIMARY KEY (organization_id, leaf_index),
     FOREIGN KEY (organization_id, leaf_index) REFERENCES ledger_records (organization_id, leaf_index)
   )`,
  // The newest row of a partition counts, not the greatest offset: a broker that comes back empty counts from 0 again.
  `CREATE TABLE consumed_offsets (
     topic text NOT NULL,
     partition integer NOT NULL,
     batch bigint GENERATED ALWAYS AS IDENTITY,
     next_offset bigint NOT NULL,
     PRIMARY KEY (topic, partition, batch)
   )`,
  `CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
     $$ BEGIN RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP; END $$`,
  ...APPEND_ONLY.flatMap((table) => [
    `CREATE TRIGGER ${table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ${table}
       FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`,
    `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${table}_append_only`,
  ]),
];

/** The ledger: append-only for everybody. */
export class Initial1764000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE consumed_offsets, parked_messages, ledger_checkpoints, ledger_heads, ledger_nodes, ledger_records');
    await runner.query('DROP FUNCTION refuse_change');
  }
}

/** The ledger's role may add and read, nothing else. */
export const auditGrants = (role: string): readonly string[] => [`GRANT SELECT, INSERT ON ${APPEND_ONLY.join(', ')} TO ${role}`];

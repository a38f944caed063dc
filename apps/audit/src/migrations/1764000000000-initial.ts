import type { MigrationInterface, QueryRunner } from 'typeorm';

const APPEND_ONLY = ['ledger_records', 'parked_messages', 'consumed_offsets'];

const STATEMENTS: readonly string[] = [
  `CREATE TABLE ledger_records (
     organization_id text COLLATE "C" NOT NULL,
     leaf_index bigint NOT NULL CHECK (leaf_index >= 0),
     bytes bytea NOT NULL,
     leaf_hash bytea NOT NULL CHECK (length(leaf_hash) = 32),
     writer text COLLATE "C" NOT NULL,
     sequence bigint NOT NULL,
     record_id text COLLATE "C" NOT NULL,
     type text NOT NULL,
     time timestamptz NOT NULL,
     environment text,
     api_key_id text COLLATE "C",
     api_key_name text,
     address inet,
     user_agent text,
     request_id text,
     entry_id text COLLATE "C",
     handler text COLLATE "C",
     version integer,
     action text NOT NULL,
     outcome text NOT NULL,
     reason text,
     received_at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (organization_id, leaf_index),
     UNIQUE (writer, sequence)
   )`,
  'CREATE INDEX ledger_by_time ON ledger_records (organization_id, time DESC, leaf_index DESC)',
  'CREATE INDEX ledger_by_handler ON ledger_records (organization_id, handler, time DESC)',
  'CREATE INDEX ledger_by_outcome ON ledger_records (organization_id, outcome, time DESC)',
  'CREATE INDEX ledger_by_api_key ON ledger_records (organization_id, api_key_id, time DESC)',
  'CREATE INDEX ledger_by_address ON ledger_records USING gist (address inet_ops)',
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
    await runner.query('DROP TABLE consumed_offsets, parked_messages, ledger_records');
    await runner.query('DROP FUNCTION refuse_change');
  }
}

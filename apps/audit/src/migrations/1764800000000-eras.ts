import type { MigrationInterface, QueryRunner } from 'typeorm';
import { appendOnly } from '../retire/append-only.ts';

/** What partition 0 has from the time when it was all of the ledger, by its old name and its new one. */
const RENAMED = [
  ['ledger_records_pkey', 'ledger_records_0_pkey'],
  ['ledger_records_writer_sequence_key', 'ledger_records_0_writer_sequence_key'],
  ['ledger_by_handler', 'ledger_records_0_by_handler'],
  ['ledger_by_api_key', 'ledger_records_0_by_api_key'],
  ['ledger_by_address', 'ledger_records_0_by_address'],
  ['ledger_by_refusal', 'ledger_records_0_by_refusal'],
  ['ledger_by_time', 'ledger_records_0_by_time'],
] as const;

const STATEMENTS: readonly string[] = [
  // The parts in which records are appended, one after another, and with which they leave.
  'CREATE TABLE ledger_eras (era integer PRIMARY KEY CHECK (era >= 0), opened_at timestamptz NOT NULL DEFAULT now())',
  'INSERT INTO ledger_eras (era) VALUES (0)',

  // A record and the message beside it are written in one transaction; a foreign key would keep the record's partition from leaving.
  'ALTER TABLE parked_messages DROP CONSTRAINT parked_messages_organization_id_leaf_index_fkey',
  'ALTER TABLE ledger_records RENAME TO ledger_records_0',
  ...RENAMED.map(([old, name]) => `ALTER INDEX ${old} RENAME TO ${name}`),
  'ALTER TRIGGER ledger_records_append_only ON ledger_records_0 RENAME TO ledger_records_0_append_only',
  // Written nowhere: the rows that are there have it by the catalogue.
  'ALTER TABLE ledger_records_0 ADD COLUMN era integer NOT NULL DEFAULT 0',
  'ALTER TABLE ledger_records_0 ALTER COLUMN era DROP DEFAULT',
  'CREATE TABLE ledger_records (LIKE ledger_records_0 INCLUDING CONSTRAINTS INCLUDING STORAGE) PARTITION BY LIST (era)',
  'ALTER TABLE ledger_records ATTACH PARTITION ledger_records_0 FOR VALUES IN (0)',
  // What was granted on the whole ledger is granted on its new whole, and on no part of it by name.
  `DO $$
   DECLARE other text;
   BEGIN
     FOR other IN SELECT DISTINCT grantee FROM information_schema.role_table_grants WHERE table_name = 'ledger_records_0' AND grantee <> current_user
     LOOP EXECUTE format('REVOKE ALL ON ledger_records_0 FROM %I', other); END LOOP;
   END $$`,

  // Each takes over the index that partition 0 has of the kind, and is made for every later partition with it.
  'CREATE INDEX ledger_by_handler ON ledger_records (organization_id, handler, leaf_index)',
  'CREATE INDEX ledger_by_api_key ON ledger_records (organization_id, api_key_id, leaf_index)',
  'CREATE INDEX ledger_by_address ON ledger_records (organization_id, address, leaf_index)',
  "CREATE INDEX ledger_by_refusal ON ledger_records (organization_id, outcome, leaf_index) WHERE outcome <> 'success'",
  'CREATE INDEX ledger_by_time ON ledger_records USING brin (time) WITH (autosummarize = on, pages_per_range = 32)',
  'CREATE INDEX ledger_by_id ON ledger_records (record_id)',
  ...appendOnly('ledger_records', 'ledger_eras'),

  // What stays of records that left: the hashes of their leaves, a whole tile in a row.
  `CREATE TABLE retired_leaves (
     organization_id text COLLATE "C" NOT NULL,
     tile bigint NOT NULL CHECK (tile >= 0),
     hashes bytea NOT NULL CHECK (length(hashes) = 8192),
     PRIMARY KEY (organization_id, tile)
   )`,
  'ALTER TABLE retired_leaves ALTER COLUMN hashes SET STORAGE EXTERNAL',
  // Up to which leaf, whole tiles, each log has left with an era or before it, and the latest time of a record among them.
  `CREATE TABLE retired_logs (
     organization_id text COLLATE "C" NOT NULL,
     era integer NOT NULL,
     size bigint NOT NULL CHECK (size > 0 AND size % 256 = 0),
     latest timestamptz NOT NULL,
     PRIMARY KEY (organization_id, era)
   )`,
  // How many events of a writer left with an era, and the highest number among them: the ledger has had all up to it.
  `CREATE TABLE retired_writers (
     writer text COLLATE "C" NOT NULL,
     era integer NOT NULL,
     source text NOT NULL,
     events bigint NOT NULL CHECK (events > 0),
     through bigint NOT NULL CHECK (through > 0),
     PRIMARY KEY (writer, era)
   )`,
  ...appendOnly('retired_leaves', 'retired_logs', 'retired_writers'),
];

/** The ledger in parts, so that old records can leave it; and an index on the records' ids. No row is moved. */
export class Eras1764800000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  /** What has left would be missing in a ledger that is one table. */
  down(): Promise<void> {
    return Promise.reject(new Error('The ledger cannot go back to a time without eras.'));
  }
}

import { DROP_JOURNAL_SCHEMA, JOURNAL_SCHEMA } from '@kms/postgres';
import type { MigrationInterface, QueryRunner } from 'typeorm';

const TABLES: readonly string[] = [
  `CREATE TABLE entries (
     id text COLLATE "C" PRIMARY KEY,
     organization_id text COLLATE "C" NOT NULL,
     environment text NOT NULL,
     handler text COLLATE "C" NOT NULL,
     name text NOT NULL,
     whitelist jsonb NOT NULL,
     properties jsonb NOT NULL,
     enabled boolean NOT NULL,
     expires_at timestamptz,
     current_version integer NOT NULL,
     revision bigint NOT NULL,
     created_at timestamptz NOT NULL,
     updated_at timestamptz NOT NULL,
     deleted_at timestamptz,
     UNIQUE (organization_id, environment, handler)
   )`,
  `CREATE INDEX entries_inventory ON entries (organization_id, environment, id) WHERE deleted_at IS NULL`,
  `CREATE TABLE entry_versions (
     entry_id text COLLATE "C" NOT NULL REFERENCES entries (id),
     number integer NOT NULL,
     encoding text NOT NULL,
     created_at timestamptz NOT NULL,
     PRIMARY KEY (entry_id, number)
   )`,
  `CREATE TABLE organization_keys (
     id text COLLATE "C" PRIMARY KEY,
     organization_id text COLLATE "C" NOT NULL,
     root_key_id text NOT NULL,
     wrapped bytea NOT NULL,
     wraps bigint NOT NULL DEFAULT 0,
     created_at timestamptz NOT NULL DEFAULT now(),
     retired_at timestamptz
   )`,
  `CREATE UNIQUE INDEX organization_keys_active ON organization_keys (organization_id) WHERE retired_at IS NULL`,
  `CREATE TABLE sealed_contents (
     entry_id text COLLATE "C" NOT NULL,
     version integer NOT NULL,
     organization_key_id text NOT NULL REFERENCES organization_keys (id),
     data_key_id text NOT NULL,
     wrapped_data_key bytea NOT NULL,
     sealed bytea NOT NULL,
     PRIMARY KEY (entry_id, version)
   )`,
];

/** The vault's state, its keys, its sealed contents, and its journal. */
export class Initial1764000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of [...JOURNAL_SCHEMA, ...TABLES]) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE sealed_contents, organization_keys, entry_versions, entries');
    for (const statement of DROP_JOURNAL_SCHEMA) await runner.query(statement);
  }
}

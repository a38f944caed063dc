import { DROP_JOURNAL_SCHEMA, JOURNAL_SCHEMA, journalGrants } from '@kms/postgres';
import type { MigrationInterface, QueryRunner } from 'typeorm';

const TABLES: readonly string[] = [
  `CREATE TABLE organizations (id text COLLATE "C" PRIMARY KEY, name text NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE TABLE api_keys (
     id text COLLATE "C" PRIMARY KEY,
     organization_id text COLLATE "C" NOT NULL REFERENCES organizations (id),
     environment text NOT NULL,
     name text NOT NULL,
     permissions text[] NOT NULL,
     digest bytea NOT NULL CHECK (length(digest) = 32),
     created_at timestamptz NOT NULL DEFAULT now(),
     expires_at timestamptz,
     revoked_at timestamptz
   )`,
];

/** Organizations, API keys, and the gateway's journal. */
export class Initial1764000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of [...JOURNAL_SCHEMA, ...TABLES]) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE api_keys, organizations');
    for (const statement of DROP_JOURNAL_SCHEMA) await runner.query(statement);
  }
}

/** What the gateway's role may do, and no more. */
export const gatewayGrants = (role: string): readonly string[] => [
  ...journalGrants(role),
  `GRANT SELECT, INSERT ON organizations TO ${role}`,
  `GRANT SELECT, INSERT, UPDATE (revoked_at) ON api_keys TO ${role}`,
];

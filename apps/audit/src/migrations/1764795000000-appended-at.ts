import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When each batch came into the ledger. Those of before count from the migration on. */
export class AppendedAt1764795000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE ledger_heads ADD COLUMN appended_at timestamptz NOT NULL DEFAULT now()');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE ledger_heads DROP COLUMN appended_at');
  }
}

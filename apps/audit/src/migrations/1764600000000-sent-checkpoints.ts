import type { MigrationInterface, QueryRunner } from 'typeorm';

const STATEMENTS: readonly string[] = [
  // In the order of their publication, which one process at a time does: a later number is never seen before an earlier one.
  'ALTER TABLE ledger_checkpoints ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY UNIQUE',
  // The checkpoints up to this number are on their topic, as the broker acknowledged.
  'CREATE TABLE sent_checkpoints (through bigint PRIMARY KEY)',
  `CREATE TRIGGER sent_checkpoints_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON sent_checkpoints
     FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`,
  'ALTER TABLE sent_checkpoints ENABLE ALWAYS TRIGGER sent_checkpoints_append_only',
];

/** How far the checkpoints were sent to their topic. */
export class SentCheckpoints1764600000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE sent_checkpoints');
    await runner.query('ALTER TABLE ledger_checkpoints DROP COLUMN number');
  }
}

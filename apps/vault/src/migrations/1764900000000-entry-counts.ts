import type { MigrationInterface, QueryRunner } from 'typeorm';

const STATEMENTS: readonly string[] = [
  `CREATE TABLE entry_counts (
     organization_id text COLLATE "C" NOT NULL,
     environment text NOT NULL,
     entries bigint NOT NULL CHECK (entries >= 0),
     PRIMARY KEY (organization_id, environment)
   )`,
  // In the database and not in the vault's code: a vault of the version before, which may still run beside this one, is counted too.
  `CREATE FUNCTION count_entry() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     IF NEW.deleted_at IS NULL THEN
       INSERT INTO entry_counts AS held (organization_id, environment, entries) VALUES (NEW.organization_id, NEW.environment, 1)
       ON CONFLICT (organization_id, environment) DO UPDATE SET entries = held.entries + 1;
     ELSE
       UPDATE entry_counts SET entries = entries - 1 WHERE organization_id = NEW.organization_id AND environment = NEW.environment;
     END IF;
     RETURN NULL;
   END $$`,
  // The lock that these take keeps entries from being changed until the count below is committed.
  `CREATE TRIGGER entries_counted_in AFTER INSERT ON entries
     FOR EACH ROW WHEN (NEW.deleted_at IS NULL) EXECUTE FUNCTION count_entry()`,
  `CREATE TRIGGER entries_counted_again AFTER UPDATE OF deleted_at ON entries
     FOR EACH ROW WHEN ((OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL)) EXECUTE FUNCTION count_entry()`,
  `INSERT INTO entry_counts SELECT organization_id, environment, count(*) FROM entries WHERE deleted_at IS NULL GROUP BY 1, 2`,
];

/** How many entries an organization has in each environment, without those that are deleted: kept by every change, so that nobody counts them. */
export class EntryCounts1764900000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TRIGGER entries_counted_in ON entries');
    await runner.query('DROP TRIGGER entries_counted_again ON entries');
    await runner.query('DROP FUNCTION count_entry');
    await runner.query('DROP TABLE entry_counts');
  }
}

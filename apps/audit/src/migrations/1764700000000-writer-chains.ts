import type { MigrationInterface, QueryRunner } from 'typeorm';

const STATEMENTS: readonly string[] = [
  // Up to this number the ledger holds all of a writer's events, and their chain was checked; `hash` is the chain's after it. Where the event
  // itself does not follow from the one before, it does not fit.
  `CREATE TABLE writer_chains (
     writer text COLLATE "C" NOT NULL,
     sequence bigint NOT NULL CHECK (sequence > 0),
     hash bytea NOT NULL CHECK (length(hash) = 32),
     fits boolean NOT NULL,
     PRIMARY KEY (writer, sequence)
   )`,
  'CREATE INDEX writer_chains_broken ON writer_chains (writer, sequence) WHERE NOT fits',
  `CREATE TRIGGER writer_chains_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON writer_chains
     FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`,
  'ALTER TABLE writer_chains ENABLE ALWAYS TRIGGER writer_chains_append_only',
];

/** How far each writer's chain was checked, and where it is broken. */
export class WriterChains1764700000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE writer_chains');
  }
}

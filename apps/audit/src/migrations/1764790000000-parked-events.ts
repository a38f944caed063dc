import type { MigrationInterface, QueryRunner } from 'typeorm';

const STATEMENTS: readonly string[] = [
  // What parked messages are found by: the hash of the raw bytes.
  'CREATE INDEX parked_by_hash ON parked_messages (sha256(value))',
  // Numbers of a writer whose events came over the topic and were parked: its relay has said so, and these are the bytes that its journal has.
  `CREATE TABLE parked_events (
     writer text COLLATE "C" NOT NULL,
     sequence bigint NOT NULL CHECK (sequence > 0),
     organization_id text COLLATE "C" NOT NULL,
     leaf_index bigint NOT NULL,
     PRIMARY KEY (writer, sequence),
     FOREIGN KEY (organization_id, leaf_index) REFERENCES parked_messages (organization_id, leaf_index)
   )`,
  `CREATE TRIGGER parked_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON parked_events
     FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`,
  'ALTER TABLE parked_events ENABLE ALWAYS TRIGGER parked_events_append_only',
];

/** Which events of a writer are in the ledger as parked messages only. */
export class ParkedEvents1764790000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE parked_events');
    await runner.query('DROP INDEX parked_by_hash');
  }
}

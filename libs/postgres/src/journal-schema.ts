/**
 * The journal's tables: statements for a service's first migration. A block's row is never changed; that is refused to the owner too.
 * The name of the lock of a writer is its number.
 */
export const JOURNAL_SCHEMA: readonly string[] = [
  `CREATE TABLE journal_writers (
     id text PRIMARY KEY,
     number integer GENERATED ALWAYS AS IDENTITY UNIQUE,
     opened_at timestamptz NOT NULL DEFAULT now(),
     acknowledged bigint NOT NULL DEFAULT 0,
     closed_at timestamptz
   )`,
  `CREATE INDEX journal_writers_open ON journal_writers (number) WHERE closed_at IS NULL`,
  `CREATE TABLE journal_blocks (
     writer text NOT NULL REFERENCES journal_writers (id),
     first_sequence bigint NOT NULL CHECK (first_sequence >= 1),
     last_sequence bigint NOT NULL CHECK (last_sequence >= first_sequence),
     events bytea NOT NULL,
     hash bytea NOT NULL CHECK (length(hash) = 32),
     PRIMARY KEY (writer, first_sequence)
   )`,
  // Events compress poorly one by one and are read back soon: no time is spent on it in the commit.
  `ALTER TABLE journal_blocks ALTER COLUMN events SET STORAGE EXTERNAL`,
  `CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
     $$ BEGIN RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP; END $$`,
  `CREATE TRIGGER journal_blocks_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_blocks
     FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`,
  `ALTER TABLE journal_blocks ENABLE ALWAYS TRIGGER journal_blocks_append_only`,
];

/** What a service's role needs of the journal: blocks can be added and read, never changed. */
export const journalGrants = (role: string): readonly string[] => [
  `GRANT SELECT, INSERT ON journal_blocks TO ${role}`,
  `GRANT SELECT, INSERT, UPDATE (acknowledged, closed_at) ON journal_writers TO ${role}`,
];

/** Statements that take the journal away again, for a migration's way back. */
export const DROP_JOURNAL_SCHEMA: readonly string[] = ['DROP TABLE journal_blocks, journal_writers', 'DROP FUNCTION refuse_change'];

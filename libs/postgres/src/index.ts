export { assertServiceSchema, createPool } from './service-database.ts';
export { CommitError, isRefusal, SqlState, sqlState } from './errors.ts';
export { DROP_JOURNAL_SCHEMA, JOURNAL_SCHEMA, journalGrants } from './journal-schema.ts';
export { PostgresJournalStore, type FenceTable, type PostgresJournalSettings } from './journal-store.ts';
export { migrate, runMigrations, type MigrateSettings } from './migrate.ts';
export { PostgresRelayStore } from './relay-store.ts';
export { assertDurableServer, describeConnectionFailure, withClient } from './server-checks.ts';
export { tracePool } from './trace-pool.ts';
export { commit, inTransaction } from './transaction.ts';

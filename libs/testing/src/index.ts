export { startApacheKafka, startTestBroker, usesApacheKafka, type TestBroker } from './broker.ts';
export { blockOf, journalStoreContract, type JournalStoreSubject } from './journal-store-contract.ts';
export { MemoryJournal, MemoryJournalStore, MemoryRelayStore, type CommitFault, type MemoryTransaction } from './memory-journal.ts';
export { startTestPostgres, type TestDatabase, type TestPostgres } from './postgres.ts';
export { PostgresProxy, type CaughtStatement, type Moment } from './postgres-proxy.ts';
export { readTopic, type TopicMessage } from './read-topic.ts';
export { relayStoreContract, type RelayStoreSubject } from './relay-store-contract.ts';
export { whileStopped } from './while-stopped.ts';
export { waitFor } from './wait-for.ts';

export { startTestBroker, usesApacheKafka, type TestBroker } from './broker.ts';
export { startTestPostgres, type TestDatabase, type TestPostgres } from './postgres.ts';
export { waitFor } from './wait-for.ts';

export { startBroker, type RunningBroker } from './broker.ts';
export { freePort, makePrivateFolder, startPostgres, type PostgresSettings, type RunningPostgres } from './postgres.ts';

export { startBroker, type Broker, type BrokerOptions } from './broker.ts';
export { freePort } from './free-port.ts';
export { startPostgres, type Postgres, type PostgresOptions } from './postgres.ts';
export { makePrivateFolder } from './private-folder.ts';

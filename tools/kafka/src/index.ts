export { startKafka, type KafkaCluster, type KafkaSettings } from './cluster.ts';
export { canInstallKafka } from './install.ts';
export type { ClientSecurity } from './node-properties.ts';

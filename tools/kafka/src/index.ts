export { startKafka, type KafkaCluster, type KafkaSettings } from './cluster.ts';
export type { ClientSecurity } from './node-properties.ts';

import type { Fault } from './fault.ts';
import { KAFKA_FAULTS } from './kafka-faults.ts';
import { POSTGRES_FAULTS } from './postgres-faults.ts';
import { SERVICE_FAULTS } from './service-faults.ts';

/** Every fault there is. */
export const FAULTS: readonly Fault[] = [...SERVICE_FAULTS, ...POSTGRES_FAULTS, ...KAFKA_FAULTS];

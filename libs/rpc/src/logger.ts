import type { Logger } from '@kms/platform';

/** What the two ends of the hop need of a logger. */
export type RpcLogger = Pick<Logger, 'info' | 'warn' | 'error'>;

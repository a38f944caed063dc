import { Id } from '@kms/contracts';
import { DatabaseUrl, MONITOR_VARIABLES, Port, SharedSecret } from '@kms/platform';
import { z } from 'zod';
import { LogKey } from './checkpoint/log-keys.ts';

/** The audit service's environment. */
export const AuditConfiguration = z.object({
  DATABASE_URL: DatabaseUrl,
  RPC_HOST: z.string().default('127.0.0.1'),
  RPC_PORT: Port,
  RPC_SECRET: SharedSecret,
  OPERATOR_ORGANIZATION_ID: Id,
  /** What checkpoints are signed with, best from a file: `LOG_KEY_FILE`. */
  LOG_KEY: LogKey,
  /** Where the last checkpoint of each log is kept: a folder that is not restored together with the database. */
  LOG_STATE_DIRECTORY: z.string(),
  ...MONITOR_VARIABLES,
});

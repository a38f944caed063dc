import { Id } from '@kms/contracts';
import { DatabaseUrl, Port, SharedSecret } from '@kms/platform';
import { z } from 'zod';

/** The audit service's environment. */
export const AuditConfiguration = z.object({
  DATABASE_URL: DatabaseUrl,
  RPC_HOST: z.string().default('127.0.0.1'),
  RPC_PORT: Port,
  RPC_SECRET: SharedSecret,
  OPERATOR_ORGANIZATION_ID: Id,
});

import { EnvelopeError, LocalRootKey, parseRootKey } from '@kms/envelope';
import { DatabaseUrl, Endpoints, MONITOR_VARIABLES, parsedBy, Port, SharedSecret } from '@kms/platform';
import { z } from 'zod';

const RootKey = parsedBy(
  (text) => new LocalRootKey(parseRootKey(text)),
  (error) => (error instanceof EnvelopeError ? 'it must be 32 bytes in base64' : null),
);

/** The vault's environment. */
export const VaultConfiguration = z.object({
  DATABASE_URL: DatabaseUrl,
  KMS_ROOT_KEY: RootKey,
  RPC_HOST: z.string().default('127.0.0.1'),
  RPC_PORT: Port,
  RPC_SECRET: SharedSecret,
  LEDGER_ENDPOINT: Endpoints,
  ...MONITOR_VARIABLES,
});
export type VaultConfiguration = z.infer<typeof VaultConfiguration>;

import { compileWhitelist, parseTrustedProxies, RangeFormatError } from '@kms/access';
import { Id } from '@kms/contracts';
import { DatabaseUrl, Endpoints, MONITOR_VARIABLES, parsedBy, Port, SharedSecret } from '@kms/platform';
import { z } from 'zod';

const TrustedProxies = parsedBy(
  (text) => compileWhitelist(parseTrustedProxies(text)),
  (error) => (error instanceof RangeFormatError ? error.message : null),
).prefault('');

/** The gateway's environment. */
export const GatewayConfiguration = z.object({
  DATABASE_URL: DatabaseUrl,
  HTTP_HOST: z.string().default('127.0.0.1'),
  PORT: Port,
  API_KEY_PEPPER: SharedSecret,
  VAULT_ENDPOINT: Endpoints,
  LEDGER_ENDPOINT: Endpoints,
  RPC_SECRET: SharedSecret,
  OPERATOR_ORGANIZATION_ID: Id,
  TRUSTED_PROXIES: TrustedProxies,
  ...MONITOR_VARIABLES,
});
export type GatewayConfiguration = z.infer<typeof GatewayConfiguration>;

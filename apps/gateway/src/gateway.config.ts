import { compileWhitelist, parseTrustedProxies, RangeFormatError } from '@kms/access';
import { Id } from '@kms/contracts';
import { DatabaseUrl, Endpoints, MONITOR_VARIABLES, Port, SharedSecret } from '@kms/platform';
import { z } from 'zod';

const TrustedProxies = z
  .string()
  .default('')
  .transform((text, context) => {
    try {
      return compileWhitelist(parseTrustedProxies(text));
    } catch (error) {
      if (!(error instanceof RangeFormatError)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
      return z.NEVER;
    }
  });

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

import { describe, expect, it } from '@jest/globals';
import { parseAddress, type Address } from '@kms/access';
import { loadConfiguration } from '@kms/platform';
import { GatewayConfiguration } from './gateway.config.ts';

const OTHERS = {
  DATABASE_URL: 'postgres://localhost/gateway',
  PORT: '0',
  API_KEY_PEPPER: 'p'.repeat(32),
  VAULT_ENDPOINT: 'localhost:1',
  LEDGER_ENDPOINT: 'localhost:2',
  RPC_SECRET: 's'.repeat(32),
  OPERATOR_ORGANIZATION_ID: '0'.repeat(24),
};
const load = (TRUSTED_PROXIES?: string) => loadConfiguration(GatewayConfiguration, { ...OTHERS, TRUSTED_PROXIES }).TRUSTED_PROXIES;
const isTrusted = (address: string, list?: string) => load(list)(parseAddress(address) as Address);

describe('the trusted proxies', () => {
  it('are those of the list, and nobody without one', () => {
    expect(isTrusted('10.1.2.3', '192.0.2.1, 10.0.0.0/8')).toBe(true);
    expect([isTrusted('11.1.2.3', '192.0.2.1, 10.0.0.0/8'), isTrusted('10.1.2.3'), isTrusted('10.1.2.3', '')]).toEqual([
      false,
      false,
      false,
    ]);
  });

  it('are refused with one sentence where the list is none', () => {
    expect(() => load('10.0.0.0/8,nobody')).toThrow(/^TRUSTED_PROXIES is not valid: .+\.$/);
  });
});

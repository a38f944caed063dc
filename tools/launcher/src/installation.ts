import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { StartupError } from '@kms/platform';
import type { DatabaseUrls } from './databases.ts';
import { writeWhole, type Home } from './home.ts';
import { runToEnd, type Service, type Variables } from './processes.ts';

/** Brings a service's database to what its code needs. */
export function migrate(service: Service, { ownerUrl, serviceUrl }: DatabaseUrls, signal: AbortSignal): Promise<void> {
  return runToEnd(service, 'migrate', { OWNER_DATABASE_URL: ownerUrl, DATABASE_URL: serviceUrl }, signal);
}

/** What a log key begins with that a version before wrapped ones made: the audit service wraps it when it starts. */
const PLAIN = 'PRIVATE+KEY+';

/**
 * The key that checkpoints are signed with, and the one that wraps it. Once something was signed with it, another one takes its place by a
 * person's hand only. Throws StartupError where one of the two is gone.
 */
export async function makeLogKey({ DEPLOYMENT }: NodeJS.ProcessEnv, home: Home, signal: AbortSignal): Promise<void> {
  const [file, wrappingKeyFile] = [home.path('log.key'), home.path('log-wrapping.key')];
  const isThere = existsSync(file);
  if (!isThere && existsSync(home.path('checkpoints')))
    throw new StartupError(`${file} is missing: the audit log cannot be signed on without the key that it was signed with.`);
  if (!existsSync(wrappingKeyFile)) {
    if (isThere && !(await readFile(file, 'utf8')).startsWith(PLAIN))
      throw new StartupError(`${wrappingKeyFile} is missing: the log key cannot be unwrapped without it.`);
    await writeWhole(wrappingKeyFile, randomBytes(32).toString('base64'));
  }
  if (isThere) return;
  const variables = { LOG_KEY_PATH: file, LOG_WRAPPING_KEY_FILE: wrappingKeyFile, ...(DEPLOYMENT && { DEPLOYMENT }) };
  await runToEnd('audit', 'make-log-key', variables, signal);
}

/**
 * What all instances of each service have in common in their environment. An instance adds the port that it listens on: `RPC_PORT`, or
 * `PORT` for a gateway. `ports` are those of all vaults and all audit services.
 */
export function serviceVariables(
  home: Home,
  databases: Record<Service, DatabaseUrls>,
  kafka: Variables,
  ports: { vault: readonly number[]; audit: readonly number[] },
): Record<Service, Variables> {
  const { rpcSecret, apiKeyPepper, operatorOrganizationId } = home.secrets;
  const common = (service: Service): Variables => ({ DATABASE_URL: databases[service].serviceUrl, RPC_SECRET: rpcSecret, ...kafka });
  const endpoints = (numbers: readonly number[]) => numbers.map((number) => `127.0.0.1:${number}`).join(',');
  const ledger = { LEDGER_ENDPOINT: endpoints(ports.audit) };
  const operator = { OPERATOR_ORGANIZATION_ID: operatorOrganizationId };
  return {
    vault: { ...common('vault'), ...ledger, KMS_ROOT_KEY_FILE: home.rootKeyFile },
    audit: {
      ...common('audit'),
      ...operator,
      LOG_KEY_FILE: home.path('log.key'),
      LOG_WRAPPING_KEY_FILE: home.path('log-wrapping.key'),
      LOG_STATE_DIRECTORY: home.path('checkpoints'),
    },
    gateway: { ...common('gateway'), ...ledger, ...operator, VAULT_ENDPOINT: endpoints(ports.vault), API_KEY_PEPPER: apiKeyPepper },
  };
}

import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { ALL_PERMISSIONS, createIdGenerator, Id } from '@kms/contracts';
import { Journal } from '@kms/journal';
import { DatabaseUrl, loadConfiguration, SharedSecret, StartupError } from '@kms/platform';
import { PostgresJournalStore } from '@kms/postgres';
import type pg from 'pg';
import { z } from 'zod';
import { apiKeyDigest, apiKeyId, formatApiKey, SECRET_BYTES } from './domain/api-key.ts';
import { gatewayEvent } from './domain/audit-event.ts';

const BootstrapConfiguration = z.object({
  DATABASE_URL: DatabaseUrl,
  API_KEY_PEPPER: SharedSecret,
  OPERATOR_ORGANIZATION_ID: Id,
  ADMIN_KEY_FILE: z.string(),
});

const nextId = createIdGenerator({ now: Date.now, randomBytes });

/**
 * Makes the operator's organization and its admin API key where they are missing. The key is written to its file before its digest is
 * stored, so that a start that was cut short at any point is finished by the next one.
 */
async function bootstrap(): Promise<void> {
  const { ADMIN_KEY_FILE: file, ...rest } = process.env;
  const {
    API_KEY_PEPPER: pepper,
    OPERATOR_ORGANIZATION_ID: organizationId,
    ...configuration
  } = loadConfiguration(BootstrapConfiguration.omit({ ADMIN_KEY_FILE: true }), rest);
  if (!file) throw new StartupError('ADMIN_KEY_FILE is not set: it is required.');
  const key = readOrMakeKey(file);
  const id = apiKeyId(key);
  if (id === null) throw new StartupError('The file that ADMIN_KEY_FILE names does not hold an API key.');

  const journal = new Journal<pg.ClientBase>({ store: new PostgresJournalStore({ url: configuration.DATABASE_URL, nextId }) });
  try {
    await journal.transact(async (client) => {
      await assertOwnInstallation(client, organizationId);
      await client.query('INSERT INTO organizations (id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING', [organizationId, 'Operator']);
      const { rowCount } = await client.query(
        `INSERT INTO api_keys (id, organization_id, environment, name, permissions, digest) VALUES ($1, $2, 'production', 'admin', $3, $4)
         ON CONFLICT DO NOTHING`,
        [id, organizationId, ALL_PERMISSIONS, apiKeyDigest(pepper, key)],
      );
      return { events: rowCount === 1 ? [created(id, organizationId)] : [], value: undefined };
    });
  } finally {
    await journal.close();
  }
}

/** A key in another installation's database would hide that this one has lost its secrets: nothing stored could be used with them. */
async function assertOwnInstallation(client: pg.ClientBase, organizationId: Id): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM organizations HAVING count(*) > 0 AND NOT bool_or(id = $1)', [organizationId]);
  if (rowCount === 0) return;
  throw new StartupError('The database belongs to another installation: OPERATOR_ORGANIZATION_ID is none of its organizations.');
}

function readOrMakeKey(file: string): string {
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  const key = formatApiKey('production', nextId(), randomBytes(SECRET_BYTES));
  writeFileSync(file, `${key}\n`, { mode: 0o600, flag: 'wx', flush: true });
  return key;
}

function created(id: Id, organizationId: Id) {
  const facts = { requestId: randomUUID(), address: null, userAgent: null };
  return gatewayEvent(nextId(), new Date().toISOString(), facts, {
    type: 'kms.api-key.created.v1',
    action: 'create-api-key',
    outcome: 'success',
    reason: null,
    organizationId,
    environment: 'production',
    apiKeyId: id,
    apiKeyName: 'admin',
  });
}

try {
  await bootstrap();
} catch (error) {
  process.stderr.write(`gateway: ${error instanceof StartupError ? error.message : `the first key could not be made: ${String(error)}`}\n`);
  process.exitCode = 1;
}

import { randomBytes } from 'node:crypto';
import { createIdGenerator } from '@kms/contracts';
import type { KafkaConnection } from '@kms/kafka';
import { openOutbox } from '@kms/outbox';
import { StartupError, type Logger, type Monitor } from '@kms/platform';
import { createPool, tracePool } from '@kms/postgres';
import { BalancedClient } from '@kms/rpc';
import type { DynamicModule } from '@nestjs/common';
import type pg from 'pg';
import { KeyRing } from './keys/key-ring.ts';
import { showKeyUse } from './keys/show-key-use.ts';
import { ReadEntries } from './read/read-entries.ts';
import { RecordCache } from './reveal/record-cache.ts';
import type { RevealDependencies } from './reveal/reveal-secret.ts';
import { VaultController } from './vault.controller.ts';
import type { VaultConfiguration } from './vault.config.ts';
import { ChangeEntry } from './write/change-entry.ts';

/** The vault's parts, connected: where ports meet adapters. */
export interface VaultParts {
  module: DynamicModule;
  /** What a reveal works with. */
  reveals: RevealDependencies;
  /** Ends the outbox, then the connections. */
  close(): Promise<void>;
}

/** Connects the vault's parts and opens its journal. Throws StartupError where the root key is not the stored data's. */
export async function assembleVault(
  configuration: VaultConfiguration,
  kafka: KafkaConnection,
  logger: Logger,
  monitor: Monitor,
): Promise<VaultParts> {
  const { DATABASE_URL: url, KMS_ROOT_KEY: rootKey, RPC_SECRET: secret, LEDGER_ENDPOINT: endpoints } = configuration;
  const pool = createPool(url, (error) => logger.warn({ err: error }, 'An idle database connection was lost.'));
  tracePool(pool, monitor.tracer);
  await assertRootKey(pool, rootKey.keyId);

  const nextId = createIdGenerator({ now: Date.now, randomBytes });
  const now = () => new Date();
  const ledger = new BalancedClient({ endpoints, secret, logger });
  const fenceTable = { table: 'entries', key: 'id', revision: 'revision' };
  const outbox = await openOutbox({ service: 'vault', url, kafka, ledger, nextId, fenceTable, logger, monitor });
  const { journal } = outbox;
  const keyRing = new KeyRing(rootKey);
  const records = new RecordCache(pool, keyRing);
  monitor.metrics.cache('record', records.lookups);
  monitor.metrics.cache('organization-key', keyRing.lookups);
  showKeyUse(monitor.metrics, pool, keyRing.wraps);
  monitor.health.require('database', () => pool.query('SELECT 1'));
  return {
    module: {
      module: VaultModule,
      controllers: [VaultController],
      providers: [
        { provide: ChangeEntry, useValue: new ChangeEntry({ journal, keyRing, nextId, now }) },
        { provide: ReadEntries, useValue: new ReadEntries(pool) },
      ],
    },
    reveals: { records, journal, nextId, now },
    async close() {
      await outbox.close();
      await Promise.all([ledger.close(), pool.end()]);
    },
  };
}

export class VaultModule {}

async function assertRootKey(pool: pg.Pool, keyId: string): Promise<void> {
  const { rows } = await pool.query<{ root_key_id: string }>('SELECT root_key_id FROM organization_keys WHERE root_key_id <> $1 LIMIT 1', [
    keyId,
  ]);
  if (rows[0] === undefined) return;
  throw new StartupError(
    `KMS_ROOT_KEY is not the root key that this vault's data is encrypted under: its id is ${keyId}, the data's is ${rows[0].root_key_id}.`,
  );
}

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createLogger, KeptFiles } from '@kms/platform';
import { createPool, migrate, withClient } from '@kms/postgres';
import { startTestPostgres, waitFor, type TestDatabase, type TestPostgres } from '@kms/testing';
import type pg from 'pg';
import { AUDIT_MIGRATIONS, auditGrants } from '../migrations/index.ts';
import { append, parseLogKeys, signerKey } from './log.fixture.ts';
import { PublishCheckpoints } from './publish-checkpoints.ts';
import { SendCheckpoints } from './send-checkpoints.ts';
import { NO_WITNESSES } from './witnesses.ts';

const [ONE, OTHER] = ['1'.repeat(24), '2'.repeat(24)] as const;
const logger = createLogger('test');
logger.level = 'silent';

let postgres: TestPostgres;
let database: TestDatabase;
let pool: pg.Pool;
let folder: string;
/** What the broker has, as `<key> <size>`. */
let topic: string[];
let values: Buffer[];
/** What the broker does with each of the next requests: `away` takes nothing, `lost` takes it all and does not say so. */
let faults: ('away' | 'lost')[];

const publisher = {
  async publish(messages: readonly { key: string; value: Buffer }[]): Promise<void> {
    const fault = faults.shift();
    if (fault !== 'away') {
      topic.push(...messages.map(({ key, value }) => `${key.charAt(0)} ${value.toString().split('\n')[1]}`));
      values.push(...messages.map(({ value }) => value));
    }
    if (fault !== undefined) throw new Error(fault);
  },
};
const sender = () => new SendCheckpoints({ pool, publisher, logger });

/** Appends up to `size`, and publishes. */
async function grow(organizationId: string, size: number): Promise<void> {
  await append(pool, size, organizationId);
  const settings = {
    pool,
    keys: parseLogKeys(signerKey(1)),
    kept: new KeptFiles(folder),
    witnesses: NO_WITNESSES,
    logger,
    now: () => new Date(),
  };
  await new PublishCheckpoints(settings).publishDue();
}

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

beforeEach(async () => {
  database = await postgres.createDatabase();
  await migrate({ ...database, migrations: AUDIT_MIGRATIONS, grants: auditGrants });
  pool = createPool(database.serviceUrl, () => undefined);
  folder = mkdtempSync(join(tmpdir(), 'kms-checkpoints-'));
  [topic, values, faults] = [[], [], []];
});

afterEach(async () => {
  await pool.end();
  rmSync(folder, { recursive: true });
});

describe('published checkpoints', () => {
  it('are sent once each, in their order, as the bytes that were signed', async () => {
    const subject = sender();
    await subject.sendDue();
    for (const [organizationId, size] of [[ONE, 1], [OTHER, 2], [ONE, 3]] as const) await grow(organizationId, size); // prettier-ignore
    await subject.sendDue();
    await subject.sendDue();
    expect(topic).toEqual(['1 1', '2 2', '1 3']);
    const { rows } = await pool.query<{ note: Buffer }>('SELECT note FROM ledger_checkpoints ORDER BY number');
    expect(values).toEqual(rows.map(({ note }) => note));
  });

  it.each(['away', 'lost'] as const)(
    'are all sent in the end where the broker is %s at first, the newest of each log once more',
    async (fault) => {
      const subject = sender();
      await grow(ONE, 1);
      await grow(OTHER, 1);
      await subject.sendDue();
      topic = [];
      await grow(ONE, 2);
      await grow(ONE, 3);
      faults = [fault];
      await expect(subject.sendDue()).rejects.toThrow(fault);
      await grow(ONE, 4);
      await subject.sendDue();
      const again = fault === 'lost' ? ['1 2', '1 3'] : [];
      expect(topic).toEqual([...again, '1 1', '2 1', '1 2', '1 3', '1 4']);
    },
  );

  it('are sent on after a restart, the newest of each log once more', async () => {
    await grow(ONE, 1);
    await grow(ONE, 2);
    await sender().sendDue();
    await grow(ONE, 3);
    topic = [];
    await sender().sendDue();
    expect(topic).toEqual(['1 2', '1 3']);
  });

  it('are sent by one process at a time, also where there are more than are read at once', async () => {
    await grow(ONE, 1);
    await withClient(database.superuserUrl, (client) =>
      client.query(
        `INSERT INTO ledger_checkpoints (organization_id, size, signed_at, note)
         SELECT to_char(n, 'FM000000000000000000000000'), 1, now(), convert_to(E'\\n' || n, 'UTF8') FROM generate_series(1, 1200) AS n`,
      ),
    );
    let goOn: () => void = () => undefined;
    const waits = new Promise<void>((resolve) => (goOn = resolve));
    const held = new SendCheckpoints({ pool, logger, publisher: { publish: (messages) => waits.then(() => publisher.publish(messages)) } });
    const sending = held.sendDue();
    await waitFor('the first to have the lock', async () => {
      const { rowCount } = await pool.query("SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted");
      return rowCount === 1;
    });
    await sender().sendDue();
    expect(topic).toEqual([]);
    goOn();
    await sending;
    expect(topic).toHaveLength(1_201);
    topic = [];
    await sender().sendDue();
    expect(new Set(topic).size).toBe(1_201);
    expect(topic).toHaveLength(1_201);
  });

  it('are noted as sent by nobody who could take that back', async () => {
    await grow(ONE, 1);
    await sender().sendDue();
    for (const url of [database.serviceUrl, database.ownerUrl])
      await expect(withClient(url, (client) => client.query('DELETE FROM sent_checkpoints'))).rejects.toThrow(
        /append-only|permission denied/,
      );
  });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AUDIT_TOPIC } from '@kms/contracts';
import { waitFor } from '@kms/testing';
import { Kafka, logLevel, Partitioners } from 'kafkajs';
import pg from 'pg';
import { ROOT, Suite } from './suite.ts';

let suite: Suite;
/** The superuser's connections to the databases. */
let databases: Record<'gateway' | 'vault' | 'audit', pg.Client>;
let key: string;

beforeAll(async () => {
  suite = await Suite.make();
  await suite.start();
  const [gateway, vault, audit] = await Promise.all((['gateway', 'vault', 'audit'] as const).map(connect));
  databases = { gateway: gateway as pg.Client, vault: vault as pg.Client, audit: audit as pg.Client };
  await suite.create('checked', 'x');
  for (let reveal = 0; reveal < 20; reveal += 1) await suite.reveal('checked');
  await suite.call('GET', '/ping.json', undefined, { authorization: 'Bearer nonsense' });
  key = await waitFor(
    'the log’s key',
    async () => ((await suite.call('GET', '/audit/keys.json')).body['keys'] as string[] | undefined)?.[0],
  );
}, 60_000);

afterAll(async () => {
  for (const client of Object.values(databases)) await client.end();
  await suite.remove();
}, 30_000);

function url(service: string): string {
  const { postgresPassword } = JSON.parse(readFileSync(join(suite.home, 'secrets.json'), 'utf8')) as { postgresPassword: string };
  const port = readFileSync(join(suite.home, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[3];
  return `postgres://postgres:${postgresPassword}@127.0.0.1:${port}/kms_${service}`;
}

async function connect(service: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url(service) });
  await client.connect();
  return client;
}

/** Runs the command as a person does. */
async function kmsAudit(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = {
    PATH: process.env['PATH'],
    DATABASE_URL_GATEWAY: url('gateway'),
    DATABASE_URL_VAULT: url('vault'),
    DATABASE_URL_AUDIT: url('audit'),
    KAFKA_BROKERS: (await suite.brokers()).join(','),
  };
  const child = spawn(process.execPath, ['apps/cli/bin/kms-audit.mjs', ...args], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, stdout, stderr };
}

const TABLES = { ledger_records: 'audit', ledger_heads: 'audit', ledger_checkpoints: 'audit', journal_blocks: 'vault' } as const;

/** Runs a statement as the superuser, past the triggers that refuse it to everybody else. */
async function tamper(table: keyof typeof TABLES, statement: string): Promise<void> {
  const client = databases[TABLES[table]];
  await client.query(`ALTER TABLE ${table} DISABLE TRIGGER USER`);
  try {
    await client.query(statement);
  } finally {
    await client.query(`ALTER TABLE ${table} ENABLE TRIGGER USER`);
    await client.query(`ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${table}_append_only`);
  }
}

/** Copies a table, does the damage, sees it named, and puts the table back as it was. */
async function expectNamed(table: keyof typeof TABLES, statement: string, sentence: RegExp): Promise<void> {
  const client = databases[TABLES[table]];
  await client.query(`CREATE TEMPORARY TABLE kept AS SELECT * FROM ${table}`);
  await tamper(table, statement);
  const { code, stdout } = await kmsAudit('fsck', '--no-topic', '--grace', '0', '--key', key);
  await client.query('SET session_replication_role = replica');
  await tamper(table, `DELETE FROM ${table}`);
  await client.query(`INSERT INTO ${table} OVERRIDING SYSTEM VALUE SELECT * FROM kept`);
  await client.query('SET session_replication_role = origin');
  await client.query('DROP TABLE kept');
  expect([code, stdout]).toEqual([1, expect.stringMatching(sentence)]);
}

/** Puts a message on the topic as anybody could who may write there. */
async function produce(value: string): Promise<void> {
  const kafka = new Kafka({ brokers: await suite.brokers(), clientId: 'test', logLevel: logLevel.NOTHING });
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  await producer.send({ topic: AUDIT_TOPIC, messages: [{ key: suite.admin.organizationId, value }] });
  await producer.disconnect();
}

describe('a running system', () => {
  it('is found in order by follow and by fsck while it is at work', async () => {
    const load = new AbortController();
    const working = (async () => {
      while (!load.signal.aborted) await suite.reveal('checked');
    })();
    const followed = await kmsAudit('follow', '--until-end', '--key', key);
    const checked = await kmsAudit('fsck', '--key', key);
    load.abort();
    await working;
    expect(followed).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^ok: .* nothing missing, [1-9]\d* checkpoints?, [1-9]\d* of them reproduced$/m),
    });
    expect(followed.stdout).toMatch(new RegExp(`^log ${suite.admin.organizationId}: signed up to \\d+, reproduced up to \\d+$`, 'm'));
    const ok = /^ok: \d+ events of \d+ writers were committed; the ledger has \d+ records of 1 organizations, 0 of them parked messages/;
    expect(checked).toMatchObject({ code: 0, stdout: expect.stringMatching(ok), stderr: '' });
  }, 120_000);

  it('is in order with a message on the topic that is no event: the ledger has parked it', async () => {
    await produce('no event');
    const { code, stdout } = await kmsAudit('fsck');
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/records of 1 organizations, 1 of them parked .* on the topic, 1 of them parked$/m),
    ]);
    const followed = await kmsAudit('follow', '--until-end');
    expect([followed.code, followed.stdout]).toEqual([1, expect.stringMatching(/^VIOLATION schema at kms\.audit\.v1\/\d+\/\d+: /m)]);
  }, 120_000);
});

const SWAP = `
  UPDATE ledger_records SET leaf_index = 1000000 WHERE leaf_index = 5;
  UPDATE ledger_records SET leaf_index = 5 WHERE leaf_index = 6;
  UPDATE ledger_records SET leaf_index = 6 WHERE leaf_index = 1000000`;
const FOREIGN = `
  INSERT INTO ledger_records
    (era, organization_id, leaf_index, bytes, leaf_hash, writer, sequence, record_id, time, handler, outcome, api_key_id, address)
  SELECT era, organization_id, (SELECT max(leaf_index) + 1 FROM ledger_records), bytes, leaf_hash, repeat('f', 24), 1, record_id, time, handler, outcome,
         api_key_id, address FROM ledger_records WHERE leaf_index = 5`;

describe('a system that a superuser has changed', () => {
  it.each<[what: string, table: keyof typeof TABLES, statement: string, sentence: RegExp]>([
    [
      'changed bytes of a record',
      'ledger_records',
      "UPDATE ledger_records SET bytes = overlay(bytes PLACING '\\x58'::bytea FROM 40) WHERE leaf_index = 5",
      /^bad: Event \S+ is not in the ledger as it was committed\./,
    ],
    [
      'a record taken away',
      'ledger_records',
      'DELETE FROM ledger_records WHERE leaf_index = 5',
      /^bad: Event \S+ was committed and is not in the ledger\./,
    ],
    ['two records swapped', 'ledger_records', SWAP, /^bad: The head of \S+ at \d+ is not that of its records\./],
    ['a foreign record', 'ledger_records', FOREIGN, /^bad: Event f{24}\/1 is in the ledger and was never committed\./],
    [
      'a column that hides a record',
      'ledger_records',
      "UPDATE ledger_records SET handler = 'x' WHERE leaf_index = 5",
      /^bad: Record 5 of \S+ is found by a handler that/,
    ],
    [
      'the last head taken away',
      'ledger_heads',
      'DELETE FROM ledger_heads WHERE size = (SELECT max(size) FROM ledger_heads)',
      /^bad: The head of \S+ at \d+, which was signed, is not stored\./,
    ],
    [
      'a checkpoint of another root',
      'ledger_checkpoints',
      'UPDATE ledger_checkpoints SET note = (SELECT note FROM ledger_checkpoints ORDER BY number LIMIT 1)',
      /^bad: The checkpoint of \S+ at \d+ is stored under a size that it does not have\./,
    ],
    [
      'a block of a journal taken away',
      'journal_blocks',
      'DELETE FROM journal_blocks WHERE first_sequence = 1',
      /^bad: The journal of writer \S+ has no block with number 1\./,
    ],
    [
      'a changed chain',
      'journal_blocks',
      "UPDATE journal_blocks SET hash = sha256('x') WHERE first_sequence = 1",
      /^bad: The journal of writer \S+ has a chain hash at \d+ that is not that of its events\./,
    ],
  ])('by %s is bad, and it is named', async (_what, table, statement, sentence) => expectNamed(table, statement, sentence), 60_000);

  it('and put back, is in order', async () => {
    expect(await kmsAudit('fsck', '--key', key)).toMatchObject({ code: 0 });
  }, 60_000);
});

describe('a call of fsck that cannot run', () => {
  it.each([
    [['--grace', '-1'], /--grace/],
    [['--brokers', '127.0.0.1:1'], /^Kafka does not answer/],
  ])(
    '%j: one sentence and 2',
    async (args, sentence) => {
      expect(await kmsAudit('fsck', ...args)).toEqual({ code: 2, stdout: '', stderr: expect.stringMatching(sentence) });
    },
    60_000,
  );
});

describe('a system that somebody else has written to', () => {
  it('is bad: the event that no service has committed is named', async () => {
    const { rows } = await databases.audit.query<{ bytes: Buffer }>("SELECT bytes FROM ledger_records WHERE handler = 'checked' LIMIT 1");
    const forged = String(rows[0]?.bytes).replace(/"writer":"[0-9a-f]{24}"/, `"writer":"${'e'.repeat(24)}"`);
    await produce(forged);
    await waitFor('the ledger to take it', async () => {
      const { rowCount } = await databases.audit.query('SELECT FROM ledger_records WHERE writer = $1', ['e'.repeat(24)]);
      return rowCount === 1;
    });
    const { code, stdout } = await kmsAudit('fsck');
    expect([code, stdout]).toEqual([1, expect.stringMatching(/^bad: Event e{24}\/\d+ is in the ledger and was never committed\.$/m)]);
  }, 60_000);
});

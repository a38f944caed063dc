import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createSdk, KmsError, type Sdk } from '@kms/sdk';
import { waitFor } from '@kms/testing';
import pg from 'pg';
import { ROOT, Suite } from './suite.ts';

/** Records of the era that is retired: more than one bundle, and not whole ones. */
const REVEALS = 320;

let suite: Suite;
let sdk: Sdk;
let key: string;
let ownerUrl: string;

beforeAll(async () => {
  suite = await Suite.make();
  await suite.start();
  const { baseUrl, apiKey, organizationId } = suite.admin;
  const keys = await createSdk({ baseUrl, apiKey }).audit.claimedKeys();
  key = keys[0] as string;
  sdk = createSdk({ baseUrl, apiKey, audit: { origin: `localhost/audit/${organizationId}`, keys } });
  const owner = new URL(url('audit'));
  [owner.username, owner.password] = ['kms_audit_owner', 'test'];
  ownerUrl = owner.href;
  const client = new pg.Client({ connectionString: url('audit') });
  await client.connect();
  await client.query(`ALTER ROLE kms_audit_owner PASSWORD 'test'`).finally(() => client.end());
}, 60_000);

afterAll(() => suite.remove(), 30_000);

function url(service: string): string {
  const { postgresPassword } = JSON.parse(readFileSync(join(suite.home, 'secrets.json'), 'utf8')) as { postgresPassword: string };
  const port = readFileSync(join(suite.home, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[3];
  return `postgres://postgres:${postgresPassword}@127.0.0.1:${port}/kms_${service}`;
}

/** Runs a program as a person does. */
async function run(program: string, args: readonly string[], environment: NodeJS.ProcessEnv): Promise<[code: number, said: string]> {
  const child = spawn(process.execPath, [program, ...args], { cwd: ROOT, env: { PATH: process.env['PATH'], ...environment } });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return [code, said];
}

const retire = (...args: string[]) => run('apps/audit/dist/retire.js', args, { OWNER_DATABASE_URL: ownerUrl });
const kmsAudit = (...args: string[]) => run('apps/cli/bin/kms-audit.mjs', args, { KMS_API_KEY: suite.admin.apiKey });
const exportTo = (name: string, ...args: string[]) =>
  kmsAudit('export', '--url', suite.admin.baseUrl, '--out', join(suite.folder, name), '--key', key, ...args);

/** The checkpoint over all that is in the ledger by then. */
async function untilSigned(): Promise<number> {
  const { audit } = sdk;
  const records = await suite.count('');
  return waitFor('a checkpoint', async () => {
    const size = await audit.checkpoint().then((checkpoint) => checkpoint.size, noneYet);
    return size >= records ? size : null;
  });
}

/** The size of a log that has no checkpoint yet. */
function noneYet(error: unknown): number {
  if (error instanceof KmsError && error.status === 404) return 0;
  throw error;
}

async function reveal(times: number): Promise<string[]> {
  const receipts: string[] = [];
  for (let left = times; left > 0; left -= 20) {
    const answers = await Promise.all(Array.from({ length: Math.min(20, left) }, () => suite.reveal('kept')));
    receipts.push(...answers.map(({ headers }) => headers.get('audit-record') ?? ''));
  }
  return receipts;
}

describe('a running system with an old era', () => {
  let old: string[];
  let young: string[];
  /** How many records have left. */
  let left: number;

  it('gives the era away by a command, once all that it asks for holds', async () => {
    await suite.create('kept', 'content');
    old = await reveal(REVEALS);
    await waitFor('the records', async () => (await suite.count('handler=kept&outcome=success')) >= REVEALS);
    await untilSigned();
    expect(await exportTo('whole')).toMatchObject([0, expect.stringMatching(/^ok: /)]);
    copyFileSync(join(suite.folder, 'whole', 'checkpoint'), join(suite.folder, 'kept-checkpoint'));
    expect(await retire('open')).toEqual([0, 'Era 1 is open: what comes from now on is in it.\n']);
    young = await reveal(20);
    const now = new Date().toISOString();
    const said = await waitFor(
      'the chains to be checked',
      async () => {
        const [code, text] = await retire('retire', '--before', now);
        if (code === 1 && /try again later/.test(text)) return null;
        return { code, text };
      },
      40_000,
    );
    expect(said).toEqual({
      code: 0,
      text: expect.stringMatching(
        /^Era 0 has left the ledger with \d+ records; \d+ went on into era 1\. Its table ledger_records_0 is detached: drop it when it is not needed any more\.\n$/,
      ),
    });
    left = Number(/with (\d+) records/.exec(said.text)?.[1]);
    expect([left % 256, left > 0]).toEqual([0, true]);
    expect(await retire('list')).toEqual([
      0,
      expect.stringMatching(/^era 0: from \S+ to \S+, retired\nera 1: from \S+ to now, appended to\n$/),
    ]);
    expect(await retire('retire', '--before', now)).toEqual([0, expect.stringMatching(/nothing was retired/)]);
  }, 120_000);

  it('says of a record that has left that it has, and proves the others by their receipts', async () => {
    const gone = { error: `Not in the ledger, which has retired its records before ${left}` };
    const [first = ''] = old;
    expect(await suite.call('GET', `/audit/proof/${first.slice(0, 24)}.json`)).toMatchObject({ status: 410, body: gone });
    expect(await suite.call('GET', '/audit/tile/entries/000')).toMatchObject({ status: 410, body: gone });
    expect(await suite.call('GET', `/audit/proof/${'f'.repeat(24)}.json`)).toMatchObject({ status: 404 });
    await untilSigned();
    await expect(sdk.audit.redeem(first)).rejects.toMatchObject({ status: 410, message: gone.error });
    for (const receipt of [...old.slice(-3), ...young.slice(0, 3)]) {
      expect(await sdk.audit.redeem(receipt)).toMatchObject({ event: { subject: 'kept' } });
    }
    await sdk.audit.consistency(readFileSync(join(suite.folder, 'kept-checkpoint')));
  }, 60_000);

  it('is exported from there on, extends what was kept, and is found in order', async () => {
    const since = ['--checkpoint', join(suite.folder, 'kept-checkpoint')];
    expect(await exportTo('all')).toEqual([
      2,
      expect.stringContaining(`The service refused (410): Not in the ledger, which has retired its records before ${left}.`),
    ]);
    expect(await exportTo('rest', '--from', String(left), ...since)).toEqual([
      0,
      expect.stringMatching(/extends the checkpoint of \d+ records/),
    ]);
    expect(await kmsAudit('verify', join(suite.folder, 'rest'), '--from', String(left), '--key', key, ...since)).toMatchObject([
      0,
      expect.stringMatching(/^ok: /),
    ]);
    expect((await suite.call('GET', '/audit/completeness.json')).body['writers']).toEqual(
      expect.arrayContaining([expect.objectContaining({ source: '/vault', complete: true })]),
    );
    const databases = { DATABASE_URL_GATEWAY: url('gateway'), DATABASE_URL_VAULT: url('vault'), DATABASE_URL_AUDIT: url('audit') };
    const brokers = { KAFKA_BROKERS: (await suite.brokers()).join(',') };
    expect(await run('apps/cli/bin/kms-audit.mjs', ['fsck', '--key', key], { ...databases, ...brokers })).toEqual([
      0,
      expect.stringMatching(/^ok: \d+ events of \d+ writers were committed; the ledger has \d+ records of 1 organizations/m),
    ]);
  }, 120_000);
});

describe('the command that retires eras', () => {
  const usage = /^audit: Usage: OWNER_DATABASE_URL=<url> node apps\/audit\/dist\/retire\.js list \| open \| retire --before /;
  it.each<[args: string[], sentence: RegExp]>([
    [[], usage],
    [['drop'], usage],
    [['open', 'more'], usage],
    [['retire'], usage],
    [['retire', '--before', '2026-01-01', 'more'], usage],
    [['retire', '--before', '2026-02-30'], /^audit: --before must be a day or a time in UTC, .* and not 2026-02-30\.$/m],
    [['retire', '--before', 'yesterday'], /^audit: --before must be a day or a time in UTC/],
    [['retire', '--before', '2999-01-01'], /^audit: --before lies ahead: 2999-01-01\.$/m],
  ])('refuses %j in one sentence', async (args, sentence) => {
    const [code, said] = await retire(...args);
    expect([code, said.trim().split('\n').length, said]).toEqual([1, 1, expect.stringMatching(sentence)]);
  });

  it('asks for the role that owns the ledger', async () => {
    const command = ['apps/audit/dist/retire.js', ['open']] as const;
    expect(await run(...command, {})).toEqual([1, expect.stringMatching(/^audit: .*OWNER_DATABASE_URL/)]);
    const stranger = new URL(ownerUrl);
    stranger.password = 'wrong';
    expect(await run(...command, { OWNER_DATABASE_URL: stranger.href })).toEqual([
      1,
      expect.stringMatching(/^audit: PostgreSQL at .*: the password is wrong\.\n$/),
    ]);
    stranger.pathname = '/kms_vault';
    stranger.password = 'test';
    expect(await run(...command, { OWNER_DATABASE_URL: stranger.href })).toEqual([
      1,
      'audit: The database lacks migrations of this version: run them first.\n',
    ]);
  });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createSdk, KmsError, type Sdk } from '@kms/sdk';
import { waitFor } from '@kms/testing';
import { ROOT, Suite } from './suite.ts';

let suite: Suite;
let sdk: Sdk;
let key: string;

beforeAll(async () => {
  suite = await Suite.make();
  await suite.start();
  const { baseUrl, apiKey, organizationId } = suite.admin;
  const keys = await createSdk({ baseUrl, apiKey }).audit.claimedKeys();
  key = keys[0] as string;
  sdk = createSdk({ baseUrl, apiKey, audit: { origin: `localhost/audit/${organizationId}`, keys } });
}, 60_000);

afterAll(() => suite.remove(), 30_000);

interface Ended {
  code: number;
  out: string;
  err: string;
}

/** Runs the command line with an environment of its own. */
async function kmsAudit(args: readonly string[], environment: Record<string, string> = {}): Promise<Ended> {
  const child = spawn(process.execPath, ['apps/cli/bin/kms-audit.mjs', ...args], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], ...environment },
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, out, err };
}

const exportTo = (out: string, ...args: string[]) =>
  kmsAudit(['export', '--url', suite.admin.baseUrl, '--out', join(suite.folder, out), ...args], { KMS_API_KEY: suite.admin.apiKey });
const verify = (pack: string, ...args: string[]) => kmsAudit(['verify', join(suite.folder, pack), ...args]);

describe('the client library', () => {
  it('reveals a secret and redeems the receipt', async () => {
    await suite.create('by-sdk', 'content of it');
    const { content, receipt } = await sdk.kms.reveal('by-sdk');
    expect(content).toBe('content of it');
    if (receipt === null) throw new Error('There is no receipt.');
    const { event, checkpoint } = await waitFor('the proof', () =>
      sdk.audit.redeem(receipt).catch((error: unknown) => {
        if (error instanceof KmsError && error.status === 404) return null;
        throw error;
      }),
    );
    expect(event).toMatchObject({ id: receipt.id, subject: 'by-sdk', type: 'kms.secret.revealed.v1' });
    expect((await sdk.audit.consistency(checkpoint.note)).size).toBeGreaterThanOrEqual(checkpoint.size);
    const other = { ...receipt, hash: 'e'.repeat(64) };
    await expect(sdk.audit.redeem(other)).rejects.toMatchObject({ code: 'wrong-evidence' });
    await expect(sdk.kms.reveal('not-there')).rejects.toThrow('This KMSEntry does not exist');
    expect(await sdk.kms.get('by-sdk')).toMatchObject({ handler: 'by-sdk', whitelist: ['127.0.0.1'] });
    expect(await sdk.kms.list({ size: 1 })).toMatchObject({ per_page: 1, elements: [{}] });
  });
});

describe('the README’s program', () => {
  it('reveals a secret and says where its record is', async () => {
    const [, program = ''] = /^```js\n(.*?)^```$/ms.exec(readFileSync(join(ROOT, 'README.md'), 'utf8')) ?? [];
    await suite.create('aws-s3-prod-credentials', 'EXAMPLE_ACCESS_KEY');
    const child = spawn(process.execPath, ['--input-type=module', '-e', program.replace("'.kms/", `'${suite.home}/`)], { cwd: ROOT });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await once(child, 'close');
    expect(said).toMatch(/^kms\.secret\.revealed\.v1 is record [0-9]+ of [0-9]+\n$/);
  });
});

describe('kms-audit', () => {
  it('exports the log and verifies it, also later against the checkpoint that was kept', async () => {
    const first = await exportTo('pack');
    expect(first).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^ok: [0-9]+ records, size [0-9]+, root .+=\n/),
      err: expect.stringContaining('--key'),
    });
    expect(await verify('pack', '--key', key)).toEqual({ code: 0, out: first.out.replace(/written to .*\n/, ''), err: '' });

    await suite.reveal('by-sdk');
    const kept = join(suite.folder, 'pack', 'checkpoint');
    const size = Number(readFileSync(kept, 'utf8').split('\n')[1]);
    await waitFor('a later checkpoint', async () => (await sdk.audit.checkpoint()).size > size);
    const later = await exportTo('later', '--key', key, '--checkpoint', kept);
    expect(later).toMatchObject({ code: 0, out: expect.stringContaining(`extends the checkpoint of ${size} records`), err: '' });
    expect(await verify('later', '--key', key, '--checkpoint', kept)).toMatchObject({ code: 0 });
    expect(await verify('pack', '--key', key, '--checkpoint', join(suite.folder, 'later', 'checkpoint'))).toMatchObject({
      code: 1,
      out: expect.stringMatching(/^bad: The log has .*\(inconsistent\)\n$/),
    });
  }, 60_000);

  it('names the first record that was changed', async () => {
    cpSync(join(suite.folder, 'pack'), join(suite.folder, 'changed'), { recursive: true });
    const entries = join(suite.folder, 'changed', 'tile', 'entries');
    const bundle = join(
      entries,
      readdirSync(entries, { recursive: true })
        .map(String)
        .find((name) => /[0-9]+$/.test(name) && name.includes('/')) ?? '000',
    );
    const text = readFileSync(bundle, 'latin1');
    writeFileSync(bundle, text.replace('"success"', '"denied_"'), 'latin1');
    expect(await verify('changed', '--key', key)).toMatchObject({
      code: 1,
      out: expect.stringMatching(/^bad: Record [0-9]+ \([0-9a-f]{24}\) is not the one that the log has there\. \(wrong-record\)\n$/),
    });
  });

  it.each<[string, (path: (name: string) => string) => string[], string]>([
    ['no folder', () => ['verify'], 'Name one folder, the evidence pack. kms-audit verify --help says more.'],
    ['a folder that is not there', (path) => ['verify', path('nothing')], 'There is nothing at '],
    ['a file', (path) => ['verify', path('pack/checkpoint')], 'An evidence pack is a folder'],
    ['a key that is none', (path) => ['verify', path('pack'), '--key', path('pack/checkpoint')], '--key is no public key of that kind: '],
    [
      'a checkpoint that is none',
      (path) => ['verify', path('pack'), '--checkpoint', path('pack/keys')],
      'The file of --checkpoint is no signed checkpoint: ',
    ],
    ['a range that is none', (path) => ['verify', path('pack'), '--from', 'x'], '--from must be a number'],
    ['no gateway', (path) => ['export', '--out', path('new')], 'Say where the gateway is, with --url or KMS_URL.'],
    [
      'no API key',
      (path) => ['export', '--url', 'http://127.0.0.1:1', '--out', path('new')],
      'Give an API key, in KMS_API_KEY or with --api-key-file.',
    ],
    [
      'a gateway that is not there',
      (path) => ['export', '--url', 'http://127.0.0.1:1', '--out', path('new'), '--api-key-file', path('pack/keys')],
      'could not be reached',
    ],
    [
      'a folder that is there already',
      (path) => ['export', '--url', 'http://127.0.0.1:1', '--out', path('pack'), '--api-key-file', path('pack/keys')],
      'There is something at ',
    ],
  ])('says one sentence for %s, and leaves nothing behind', async (_, args, sentence) => {
    const { code, out, err } = await kmsAudit(args((name) => join(suite.folder, name)));
    expect({ code, out, lines: err.split('\n').length }).toEqual({ code: 2, out: '', lines: 2 });
    expect(err).toContain(sentence);
    expect(readdirSync(suite.folder).filter((name) => name.includes('new'))).toEqual([]);
  });

  it('says what the service says to a wrong key', async () => {
    const args = ['export', '--url', suite.admin.baseUrl, '--out', join(suite.folder, 'new')];
    expect(await kmsAudit(args, { KMS_API_KEY: 'wrong' })).toEqual({
      code: 2,
      out: '',
      err: 'The service refused (401): Invalid token.\n',
    });
    rmSync(join(suite.folder, 'changed'), { recursive: true });
  });
});

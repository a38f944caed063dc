import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { fileCheckpointStore } from './checkpoint-store.ts';
import { KmsError } from './kms-error.ts';
import { parseReceipt, writeReceipt } from './receipt.ts';
import { createSdk, type Sdk } from './sdk.ts';

const KEY = 'kms_secret-api-key';
const RECEIPT = `${'a'.repeat(24)}; writer=${'b'.repeat(24)}; sequence=12; hash=${'c'.repeat(64)}`;

let close: (() => void) | undefined;
afterEach(() => {
  close?.();
  close = undefined;
});

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void, timeoutMs = 5_000): Promise<Sdk> {
  const server = createServer(answer);
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  close = () => {
    server.closeAllConnections();
    server.close();
  };
  return createSdk({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, apiKey: KEY, timeoutMs });
}

const failure = (call: Promise<unknown>) =>
  call.then(
    () => new Error('It was answered.'),
    (error: Error) => error,
  );

describe('the client library', () => {
  it('reveals, lists and gets as the contract has it', async () => {
    const seen: string[] = [];
    const element = { id: '6835c2cd0f3e5a7b9c1d2e3f', name: 'Production AWS S3 Access', handler: 'aws-s3-prod-credentials' };
    const inventory = { entities: 'KMSEntry', count: 12, per_page: 100, pages: { current: 1, max: 1 }, elements: [element] };
    const entry = { ...element, whitelist: ['52.1.2.3'], properties: { region: 'us-east-1' }, version: 3 };
    const sdk = await serve(({ url = '', headers }, response) => {
      seen.push(`${url} ${headers.authorization}`);
      response.setHeader('audit-record', RECEIPT);
      response.end(JSON.stringify(url.includes('reveal') ? { content: 'S' } : url.includes('kms.json') ? inventory : entry));
    });
    expect(await sdk.kms.reveal('aws-s3-prod-credentials')).toEqual({ content: 'S', receipt: parseReceipt(RECEIPT) });
    expect(await sdk.kms.list({ size: 100, page: 1 })).toEqual(inventory);
    expect(await sdk.kms.get('aws-s3-prod-credentials')).toEqual(entry);
    expect(seen).toEqual([
      `/2026-02-01/kms/reveal/aws-s3-prod-credentials.json Bearer ${KEY}`,
      `/2026-02-01/kms.json?size=100&page=1 Bearer ${KEY}`,
      `/2026-02-01/kms/aws-s3-prod-credentials.json Bearer ${KEY}`,
    ]);
  });

  it('throws an Error whose message is what the service says', async () => {
    const sdk = await serve((_, response) => {
      response.statusCode = 403;
      response.end('{"error":"Unauthorized to reveal this KMS Entry"}');
    });
    const error = await failure(sdk.kms.reveal('a'));
    expect(error).toBeInstanceOf(KmsError);
    expect(error).toMatchObject({ message: 'Unauthorized to reveal this KMS Entry', code: 'refused', status: 403 });
  });

  it.each<[string, string, (response: ServerResponse) => void]>([
    ['is no JSON', 'wrong-answer', (response) => void response.end('S3CR3T')],
    ['has no content', 'wrong-answer', (response) => void response.end('{"contents":"S3CR3T"}')],
    ['has a receipt that is none', 'wrong-answer', (response) => void response.setHeader('audit-record', 'x').end('{"content":"S3CR3T"}')],
    ['is an error of somebody else', 'wrong-answer', (response) => void response.writeHead(502).end('<html>S3CR3T')],
    ['leads elsewhere', 'unreachable', (response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()],
    [
      'ends early',
      'unreachable',
      (response) => void response.writeHead(200, { 'content-length': 100 }).write('{', () => response.destroy()),
    ],
    ['does not come', 'timeout', () => undefined],
    ['never ends', 'timeout', (response) => void response.write('{')],
  ])('refuses an answer that %s, without a secret in the error', async (_, code, answer) => {
    const sdk = await serve((_request, response) => answer(response), code === 'timeout' ? 200 : 5_000);
    const error = await failure(sdk.kms.reveal('a'));
    expect(error).toMatchObject({ name: 'KmsError', code });
    for (let each: unknown = error; each instanceof Error; each = each.cause)
      expect(`${each.message} ${each.stack}`).not.toMatch(/S3CR3T|secret-api-key/);
  });

  it('refuses an answer without end', async () => {
    const sdk = await serve((_, response) => {
      const more = () => void response.write(Buffer.alloc(2 ** 20), () => response.destroyed || more());
      more();
    });
    expect(await failure(sdk.kms.list())).toMatchObject({ code: 'wrong-answer' });
  });

  it.each([
    ['a key that no header can hold', { baseUrl: 'http://a', apiKey: 'secret\nkey' }],
    ['a base URL with a password', { baseUrl: 'http://a:secret@b', apiKey: 'k' }],
    ['a base URL that is none', { baseUrl: 'secret', apiKey: 'k' }],
    ['a timeout that is none', { baseUrl: 'http://a', apiKey: 'k', timeoutMs: 0 }],
    ['a log key that is none', { baseUrl: 'http://a', apiKey: 'k', audit: { origin: 'o', keys: ['secret'] } }],
  ])('is not made with %s, which is not quoted', (_, options) => {
    expect(() => createSdk(options)).toThrow(
      expect.objectContaining({ code: 'invalid-argument', message: expect.not.stringContaining('secret') }),
    );
  });

  it('checks nothing of the log without being told whom to believe', async () => {
    const sdk = await serve((_, response) => void response.end('{}'));
    for (const call of [sdk.audit.prove('a'.repeat(24)), sdk.audit.checkpoint()])
      expect(await failure(call)).toMatchObject({ name: 'KmsError' });
  });
});

describe('a receipt', () => {
  it('is read in its one spelling', () => {
    expect(writeReceipt(parseReceipt(RECEIPT))).toBe(RECEIPT);
    for (const wrong of [
      '',
      RECEIPT.toUpperCase(),
      `${RECEIPT} `,
      RECEIPT.replace('=12', '=012'),
      RECEIPT.replace('12', '9'.repeat(16)),
      RECEIPT.slice(1),
    ])
      expect(() => parseReceipt(wrong)).toThrow('no receipt');
  });
});

describe('a checkpoint that is remembered in a file', () => {
  it('is what was saved last, and leaves nothing else behind', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kms-sdk-'));
    const store = fileCheckpointStore(join(folder, 'checkpoint'));
    expect(await store.load()).toBeNull();
    for (const note of ['one', 'two, longer', 'three']) await store.save(Buffer.from(note));
    expect((await store.load())?.toString()).toBe('three');
    expect(await readdir(folder)).toEqual(['checkpoint']);
    await rm(folder, { recursive: true });
  });
});

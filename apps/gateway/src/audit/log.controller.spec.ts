import 'reflect-metadata';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ApiAccessPermission, type CheckpointReply, type TileReply, type TileRequest } from '@kms/contracts';
import { createLogger, Metrics } from '@kms/platform';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { apiKeyDigest, formatApiKey, type StoredApiKey } from '../domain/api-key.ts';
import { createApp, gatewayModule } from '../gateway.module.ts';
import { PolicyCache } from '../kms/policy-cache.ts';
import { RevealSecret } from '../kms/reveal-secret.ts';
import { Recorder } from './recorder.ts';

const ORGANIZATION = '1'.repeat(24);
const KEY = formatApiKey('production', '2'.repeat(24), Buffer.alloc(20));

const stored: StoredApiKey = {
  principal: {
    organizationId: ORGANIZATION,
    environment: 'production',
    apiKeyId: '2'.repeat(24),
    apiKeyName: 'auditor',
    permissions: new Set([ApiAccessPermission.AUDIT_READ]),
  },
  digest: apiKeyDigest('pepper', KEY),
  expiresAt: null,
  revoked: false,
};

let app: NestFastifyApplication;
let asked: TileRequest[];
let answers: (TileReply | CheckpointReply)[];
let recorded: number;
let isAway: boolean;

const append = (place: { name: string }) => {
  recorded += 1;
  return Promise.resolve({ writer: place.name, sequence: 1, hash: Buffer.alloc(32) });
};
const ledger = {
  call: <T>(_pattern: string, payload: unknown) => {
    asked.push(payload as TileRequest);
    if (isAway) return Promise.reject(new Error('the audit service says that its database is away'));
    return Promise.resolve(answers.shift() as T);
  },
};

beforeAll(async () => {
  const logger = createLogger('test');
  logger.level = 'silent';
  const nextId = () => '0'.repeat(24);
  const journal = { append };
  const reveals = new RevealSecret({ vault: ledger, policies: new PolicyCache(ledger), journal, nextId });
  app = await createApp(gatewayModule({ reveals, recorder: new Recorder(journal, nextId), ledger }), reveals, logger, new Metrics(), {
    keys: { find: () => Promise.resolve(stored) },
    journal,
    pepper: 'pepper',
    isTrustedProxy: () => false,
    operatorOrganizationId: nextId(),
    nextId,
  });
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
});
afterAll(() => app.close());

beforeEach(() => {
  asked = [];
  answers = [];
  recorded = 0;
  isAway = false;
});

const call = (path: string) => app.inject({ url: `/2026-02-01/${path}`, headers: { authorization: `Bearer ${KEY}` } });
const get = (path: string) => call(`audit/${path}`);
const part = (bytes: string, to: number): TileReply => ({ status: 'ok', value: { bytes: Buffer.from(bytes).toString('base64'), to } });

describe('a checkpoint', () => {
  it('is answered as it was signed', async () => {
    answers = [{ checkpoint: 'origin\n1\n', keys: [], witnesses: [], quorum: 0 }];
    const answer = await get('checkpoint');
    expect([answer.statusCode, answer.headers['content-type'], answer.body]).toEqual([200, 'text/plain; charset=utf-8', 'origin\n1\n']);
  });

  it('is not there before the first is signed', async () => {
    answers = [{ checkpoint: null, keys: [], witnesses: [], quorum: 0 }];
    const answer = await get('checkpoint');
    expect([answer.statusCode, answer.json()]).toEqual([404, { error: 'There is no checkpoint yet' }]);
  });
});

describe('a tile', () => {
  it.each([
    ['tile/0/000', { level: 0, index: 0, width: 256 }],
    ['tile/1/x001/x234/067', { level: 1, index: 1_234_067, width: 256 }],
    ['tile/0/000.p/8', { level: 0, index: 0, width: 8 }],
    ['tile/entries/x001/000.p/255', { level: 'entries', index: 1_000, width: 255 }],
    ['entries/x001/000.p/255', { level: 'entries', index: 1_000, width: 255 }],
    ['tile/0/000?x=1', { level: 0, index: 0, width: 256 }],
  ])('is read by its path %s, as bytes, and the read is recorded once', async (path, tile) => {
    answers = [part('\u0000\u0080', 256)];
    const answer = await get(path);
    expect(asked).toEqual([{ organizationId: ORGANIZATION, ...tile, from: 0 }]);
    expect([answer.statusCode, answer.headers['content-type'], answer.headers['cache-control']]).toEqual([
      200,
      'application/octet-stream',
      'no-store',
    ]);
    expect(answer.rawPayload).toEqual(Buffer.from('\u0000\u0080'));
    expect(recorded).toBe(1);
  });

  it('is put together from as many answers as it takes', async () => {
    answers = [part('ab', 2), part('c', 3), part('defgh', 8)];
    const answer = await get('entries/000.p/8');
    expect(asked.map(({ from }) => from)).toEqual([0, 2, 3]);
    expect([answer.body, recorded]).toEqual(['abcdefgh', 1]);
  });

  it('is not there where no checkpoint reaches it, which is recorded too', async () => {
    answers = [{ status: 'not-yet' }];
    const answer = await get('tile/0/001');
    expect([answer.statusCode, answer.json()]).toEqual([404, { error: expect.stringContaining('No checkpoint reaches this far yet') }]);
    expect(recorded).toBe(1);
  });

  it.each([
    ['tile/0', 'tile/<level>/<index>'],
    ['tile/', 'tile/<level>/<index>'],
    ['tile/64/000', 'level'],
    ['tile/00/000', 'level'],
    ['tile/data/000', 'level'],
    ['tile/0/0', 'index'],
    ['tile/0/x000/001', 'index'],
    ['tile/0/001/067', 'index'],
    ['tile/0/x009/x007/x199/x254/x740/992', '2^53'],
    ['tile/0/000.p/0', 'width'],
    ['tile/0/000.p/256', 'width'],
    ['tile/0/000.p/08', 'width'],
    ['tile/0/000.p/', 'width'],
    ['tile/0/000%2Ep/8', 'index'],
    ['entries/1', 'index'],
    ['entries/000/', 'index'],
  ])('is refused under the path %s', async (path, what) => {
    const answer = await get(path);
    expect([answer.statusCode, answer.json()]).toEqual([400, { error: expect.stringContaining(what) }]);
    expect(asked).toEqual([]);
  });
});

describe('a ledger that does not answer', () => {
  it.each([
    'audit.json',
    'audit/checkpoint',
    'audit/keys.json',
    `audit/proof/${'0'.repeat(24)}.json`,
    'audit/consistency.json?from=1&to=2',
    'audit/completeness.json',
    'audit/tile/0/000',
    'audit/entries/000',
  ])('is said as the other parts that are away are: %s', async (path) => {
    isAway = true;
    const answer = await call(path);
    expect([answer.statusCode, answer.body]).toEqual([503, '{"error":"Audit is unavailable"}']);
    expect([asked.length, recorded]).toEqual([1, 0]);
  });
});

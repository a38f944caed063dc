import 'reflect-metadata';
import { once } from 'node:events';
import { request, type IncomingHttpHeaders } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ApiAccessPermission, VaultCall, type RevealReply } from '@kms/contracts';
import { createLogger, Metrics } from '@kms/platform';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Recorder } from '../audit/recorder.ts';
import { apiKeyDigest, formatApiKey, SECRET_BYTES, type StoredApiKey } from '../domain/api-key.ts';
import { createApp, gatewayModule } from '../gateway.module.ts';
import { PolicyCache } from './policy-cache.ts';
import { RevealSecret } from './reveal-secret.ts';

const ID = '6835c2cd0f3e5a7b9c1d2e3f';
const OTHER_ID = '7'.repeat(24);
const PEPPER = 'pepper';
const KEY = formatApiKey('production', ID, Buffer.alloc(SECRET_BYTES, 1));
const PING_KEY = formatApiKey('production', OTHER_ID, Buffer.alloc(SECRET_BYTES, 2));
const REQUEST_ID = '0b6f7a5e-3f0d-4c1c-9d6e-0c9ae8e3f001';
const REVEALED: RevealReply = { status: 'revealed', content: 'hunter2 ☂', encoding: 'utf8', version: 1, receipt: 'a receipt' };

const stored = (text: string, id: string, permission: ApiAccessPermission): StoredApiKey => ({
  principal: {
    organizationId: ID,
    environment: 'production',
    apiKeyId: id,
    apiKeyName: 'test',
    permissions: new Set([permission]),
  },
  digest: apiKeyDigest(PEPPER, text),
  expiresAt: null,
  revoked: false,
});
const KEYS = new Map([
  [ID, stored(KEY, ID, ApiAccessPermission.KMS_READ)],
  [OTHER_ID, stored(PING_KEY, OTHER_ID, ApiAccessPermission.PING_READ)],
]);

let app: NestFastifyApplication;
let port: number;
/** What the vault answers: to a question for a policy its whitelist, to a reveal this. */
let whitelist: string[] | null;
let reply: RevealReply | Error;
let recorded: string[];
let isDurable: boolean;
let fastifySaw: number;
let handlers = 0;

const vault = {
  call<T>(pattern: string): Promise<T> {
    const policy = whitelist && { entryId: ID, revision: 1, whitelist, enabled: true, expiresAt: null, version: 1 };
    if (pattern === VaultCall.Policy) return Promise.resolve({ policy } as T);
    return reply instanceof Error ? Promise.reject(reply) : Promise.resolve(reply as T);
  },
};
const journal = {
  append(place: (position: { writer: string; sequence: number; previousHash: string }) => string) {
    if (!isDurable) return Promise.reject(new Error('the journal is away'));
    const { data } = JSON.parse(place({ writer: ID, sequence: 1, previousHash: '' })) as { data: { reason: string } };
    recorded.push(data.reason);
    return Promise.resolve({ writer: ID, sequence: 1, hash: Buffer.alloc(32) });
  },
};

beforeEach(() => {
  [whitelist, reply, recorded, isDurable, fastifySaw] = [['127.0.0.1'], REVEALED, [], true, 0];
});

beforeAll(async () => {
  const logger = createLogger('test');
  logger.level = 'silent';
  const nextId = () => ID;
  const reveals = new RevealSecret({ vault, policies: new PolicyCache(vault), journal, nextId });
  const module = gatewayModule({ reveals, recorder: new Recorder(journal, nextId), ledger: vault });
  const keys = { find: (id: string) => Promise.resolve(KEYS.get(id) ?? null) };
  const gate = { keys, journal, pepper: PEPPER, isTrustedProxy: () => false, operatorOrganizationId: OTHER_ID, nextId };
  app = await createApp(module, reveals, logger, new Metrics(), gate);
  app
    .getHttpAdapter()
    .getInstance()
    .addHook('onSend', (_request, _reply, payload, done) => {
      fastifySaw += 1;
      done(null, payload);
    });
  await app.listen(0, '127.0.0.1');
  port = Number(new URL(await app.getUrl()).port);
});
afterAll(() => app.close());

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

async function overHttp(path: string, headers: Record<string, string>, method = 'GET'): Promise<Answer> {
  const outgoing = request({ port, host: '127.0.0.1', path, method, headers, agent: false }).end();
  const [incoming] = (await once(outgoing, 'response')) as [import('node:http').IncomingMessage];
  incoming.setEncoding('utf8');
  let body = '';
  for await (const chunk of incoming) body += String(chunk);
  return { status: incoming.statusCode ?? 0, headers: comparable(incoming.headers), body };
}

/** What Fastify answers by itself: an injected request does not pass through the HTTP server. */
async function throughFastify(path: string, headers: Record<string, string>): Promise<Answer> {
  const { statusCode, headers: answered, body } = await app.inject({ method: 'GET', url: path, headers });
  return { status: statusCode, headers: comparable(answered as IncomingHttpHeaders), body };
}

/** Headers without what tells of a moment or a connection. */
function comparable({ date, connection, 'keep-alive': keepAlive, ...headers }: IncomingHttpHeaders): IncomingHttpHeaders {
  expect([date, connection, keepAlive]).toBeDefined();
  return headers;
}

const withKey = (key: string) => ({ authorization: `Bearer ${key}`, 'x-request-id': REQUEST_ID, 'user-agent': 'test' });

/** The path of a reveal of an entry that no test has asked for before, so that its policy is not known yet. */
const path = () => `/2026-02-01/kms/reveal/secret-${(handlers += 1)}.json`;

/** Each case: what is out of order, the key, and the status that it comes to. */
const CASES: readonly [string, () => void, string, number][] = [
  ['a grant', () => undefined, KEY, 200],
  [
    'a binary content',
    () => (reply = { ...(REVEALED as { status: 'revealed' } & RevealReply), encoding: 'base64', content: 'AA==' }),
    KEY,
    200,
  ],
  ['no key', () => undefined, '', 401],
  ['a malformed key', () => undefined, `${KEY}0`, 401],
  ['an unknown key', () => undefined, formatApiKey('production', '1'.repeat(24), Buffer.alloc(SECRET_BYTES)), 401],
  ['a wrong secret', () => undefined, formatApiKey('production', ID, Buffer.alloc(SECRET_BYTES, 9)), 401],
  ['a key without the permission', () => undefined, PING_KEY, 403],
  ['an address that is not whitelisted', () => (whitelist = ['192.0.2.1']), KEY, 403],
  ['an empty whitelist', () => (whitelist = []), KEY, 403],
  ['an entry that does not exist', () => (whitelist = null), KEY, 404],
  ['a version that does not exist', () => (reply = { status: 'unknown-version' }), KEY, 404],
  ['a record that is not durable in the vault', () => (reply = { status: 'audit-unavailable' }), KEY, 503],
  ['a refusal whose record is not durable', () => ([whitelist, isDurable] = [[], false]), KEY, 503],
  ['a vault that is away', () => (reply = new Error('away')), KEY, 503],
  ['a reply that nobody expects', () => (reply = null as unknown as RevealReply), KEY, 500],
];

describe('the reveal lane', () => {
  it.each(CASES)('answers %s as Fastify does, without Fastify', async (_name, arrange, key, status) => {
    arrange();
    const url = path();
    const taken = await overHttp(url, withKey(key));
    expect([taken.status, fastifySaw]).toEqual([status, 0]);
    const inLane = recorded.splice(0);
    expect(await throughFastify(url, withKey(key))).toEqual(taken);
    expect(recorded).toEqual(inLane);
    expect(fastifySaw).toBe(1);
  });

  it('makes a request id where the client gives none or an odd one', async () => {
    const { headers } = await overHttp(path(), { authorization: `Bearer ${KEY}`, 'x-request-id': 'odd' });
    expect(headers['x-request-id']).toMatch(/^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/);
  });

  it.each([
    ['GET', `${path()}?version=1`, 200],
    ['GET', `${path()}?`, 200],
    ['GET', '/2026-02-01/kms/reveal/%73ecret.json', 200],
    ['GET', '/2026-02-01/kms/reveal/Secret.json', 404],
    ['GET', '/2026-02-01/kms/reveal/secret.json/', 404],
    ['GET', '/2026-02-01/kms/reveal/.json', 404],
    ['POST', path(), 404],
  ])('leaves %s %s to Fastify', async (method, url, status) => {
    expect((await overHttp(url, withKey(KEY), method)).status).toBe(status);
    expect(fastifySaw).toBe(1);
  });
});

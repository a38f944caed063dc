import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { waitFor } from '@kms/testing';
import { findInDatabases } from './inspect.ts';
import { readmeBlocks, runShell } from './readme.ts';
import { Suite } from './suite.ts';

/** A multiple of three bytes, so that its base64 stands whole in that of a text that begins with it. */
const CANARY = 'canary-7f3a9c51e8b2-x';

let suite: Suite;

beforeAll(async () => {
  suite = await Suite.make();
  await suite.start();
}, 60_000);

afterAll(() => suite.remove(), 30_000);

describe('the suite', () => {
  it('stores a secret, reveals it, and holds the record of it', async () => {
    expect(await suite.create('aws-s3', CANARY, { properties: { region: 'us-east-1' } })).toMatchObject({
      status: 201,
      body: { revision: 1 },
    });
    const revealed = await suite.call('GET', '/kms/reveal/aws-s3.json', undefined, { 'user-agent': 'e2e/1.0' });
    expect(revealed).toMatchObject({ status: 200, body: { content: CANARY } });
    expect(revealed.headers.get('cache-control')).toBe('no-store');
    const [record] = await waitFor('the record', async () => {
      const found = await suite.records('handler=aws-s3&outcome=success');
      return found.some(({ action }) => action === 'reveal') ? found : null;
    });
    expect(record).toMatchObject({
      action: 'reveal',
      organizationId: suite.admin.organizationId,
      apiKeyName: 'admin',
      address: '127.0.0.1',
      userAgent: 'e2e/1.0',
      handler: 'aws-s3',
      version: 1,
      environment: 'production',
      requestId: revealed.headers.get('x-request-id'),
    });
  });

  it('answers the published endpoints as published', async () => {
    expect((await suite.call('GET', '/ping.json')).body).toEqual({
      status: 'success',
      env: 'production',
      RRT: expect.stringMatching(/^[0-9.]+ ms$/),
    });
    expect((await suite.call('GET', '/connection.json')).body).toMatchObject({
      client: { ips: { ipv4: '127.0.0.1' } },
      endpoint: { apiVersion: '2026-02-01' },
    });
    expect((await suite.call('GET', '/kms.json')).body).toMatchObject({
      entities: 'KMSEntry',
      per_page: 100,
      pages: { current: 1, max: 1 },
      elements: [{ handler: 'aws-s3' }],
    });
    expect((await suite.call('GET', '/kms.json?page=9')).body['elements']).toEqual([]);
    expect((await suite.call('GET', '/kms/aws-s3.json')).body).toMatchObject({
      whitelist: ['127.0.0.1'],
      properties: { region: 'us-east-1' },
    });
  });

  it('refuses with one sentence, and records the refusal', async () => {
    const wrong = (key: string) => suite.call('GET', '/kms/reveal/aws-s3.json', undefined, { authorization: key });
    for (const key of ['', 'Bearer nonsense', `Bearer ${suite.admin.apiKey.slice(0, -1)}x`]) {
      expect(await wrong(key)).toMatchObject({ status: 401, body: { error: 'Invalid token' } });
    }
    expect(await suite.reveal('nobody')).toMatchObject({
      status: 404,
      body: { error: 'This KMSEntry does not exist' },
    });
    await suite.create('closed', 'x', { whitelist: [] });
    expect(await suite.reveal('closed')).toMatchObject({
      status: 403,
      body: { error: 'Unauthorized to reveal this KMS Entry' },
    });
    await waitFor('the refusals’ records', async () => {
      const reasons = (await suite.records('outcome=denied')).map(({ reason }) => reason);
      return ['missing-key', 'malformed-key', 'unknown-handler', 'not-whitelisted'].every((reason) => reasons.includes(reason));
    });
  });

  it.each([
    ['POST', '/kms.json', { kmsEntry: { name: 'x', handler: 'x', content: 'x', colour: 'red' } }, 400, /kmsEntry\.colour/],
    ['POST', '/kms.json', { kmsEntry: { name: 'x', handler: 'No Slug', content: 'x' } }, 400, /handler/],
    [
      'POST',
      '/kms.json',
      { kmsEntry: { name: 'x', handler: 'x', content: 'x', whitelist: ['10.0.0.1/8'] } },
      400,
      /whitelist.*10\.0\.0\.0\/8/,
    ],
    ['POST', '/kms.json', { kmsEntry: { name: 'x', handler: 'x', content: 'a'.repeat(65_537) } }, 400, /content/],
    ['POST', '/kms.json', { kmsEntry: { name: 'x', handler: 'x', content: 'a'.repeat(300_000) } }, 413, /too large/],
    ['POST', '/kms.json', { kmsEntry: { name: 'x', handler: 'aws-s3', content: 'x' } }, 409, /taken/],
    ['PATCH', '/kms/nobody.json', { kmsEntry: { name: 'x' } }, 404, /does not exist/],
    ['GET', '/kms.json?size=0', undefined, 400, /size/],
    ['GET', '/audit.json?ip=1.2.3', undefined, 400, /ip/],
    ['GET', '/nothing.json', undefined, 404, /Not found/],
  ] as const)('refuses bad input %#: %s %s', async (method, path, body, status, message) => {
    const answer = await suite.call(method, path, body);
    expect(answer.status).toBe(status);
    expect(Object.keys(answer.body)).toEqual(['error']);
    expect(answer.body['error']).toMatch(message);
  });

  it('rotates, rolls past a stale If-Match, keeps binary content, and deletes', async () => {
    await suite.create('rotated', 'one');
    expect(await suite.call('POST', '/kms/rotated/versions.json', { kmsEntry: { content: 'AP8=', encoding: 'base64' } })).toMatchObject({
      status: 201,
    });
    expect((await suite.reveal('rotated')).body).toEqual({ content: 'AP8=', encoding: 'base64' });
    expect((await suite.call('GET', '/kms/reveal/rotated.json?version=1')).body).toEqual({ content: 'one' });
    expect((await suite.call('GET', '/kms/reveal/rotated.json?version=3')).status).toBe(404);
    expect((await suite.call('PATCH', '/kms/rotated.json', { kmsEntry: { name: 'x' } }, { 'if-match': '"1"' })).status).toBe(412);
    expect((await suite.call('PATCH', '/kms/rotated.json', { kmsEntry: { enabled: false } }, { 'if-match': '"2"' })).status).toBe(200);
    expect((await suite.reveal('rotated')).status).toBe(403);
    expect((await suite.call('DELETE', '/kms/rotated.json')).status).toBe(200);
    // A refusal may rest on a policy that is up to 250 ms old, so the reason changes a moment later than the entry.
    await waitFor('the entry to be gone', async () => (await suite.reveal('rotated')).status === 404);
  });

  it('grants no reveal on the old whitelist once its change is acknowledged', async () => {
    await suite.create('raced', 'x');
    let acknowledged = false;
    let grantedAfter = 0;
    let granted = 0;
    const reveal = async () => {
      const beganAfter = acknowledged;
      const { status } = await suite.reveal('raced');
      if (status === 200) granted += 1;
      if (status === 200 && beganAfter) grantedAfter += 1;
    };
    const workers = Array.from({ length: 20 }, async () => {
      for (let turn = 0; turn < 50; turn += 1) await reveal();
    });
    await waitFor('some grants', () => granted > 100);
    expect((await suite.call('PATCH', '/kms/raced.json', { kmsEntry: { whitelist: ['192.0.2.1'] } })).status).toBe(200);
    acknowledged = true;
    await Promise.all(workers);
    expect(grantedAfter).toBe(0);
    expect(granted).toBeLessThan(1_000);
  });

  it('leaves no trace of a secret but its ciphertext, revealed and rotated 100 times', async () => {
    await suite.create('canary', `${CANARY}0`);
    for (let turn = 1; turn <= 100; turn += 1) {
      const kmsEntry = { content: `${CANARY}${turn}` };
      expect((await suite.call('POST', '/kms/canary/versions.json', { kmsEntry })).status).toBe(201);
      expect((await suite.reveal('canary')).body).toEqual(kmsEntry);
    }
    const inLedger = async () => (await suite.count('handler=canary&outcome=success')) === 201;
    await waitFor('all records to come through the topic', inLedger, 40_000);

    const bytes = Buffer.from(CANARY);
    const traces = [CANARY, bytes.toString('base64'), bytes.toString('base64url'), bytes.toString('hex'), encodeURIComponent(CANARY)];
    // A column of bytes is shown in hexadecimal, so each trace is looked for in that form as well.
    const forms = [...new Set(traces.flatMap((trace) => [trace, Buffer.from(trace).toString('hex')]))];
    const found = await findInDatabases(suite.home, forms);
    expect(found.searched).toEqual(expect.arrayContaining(['journal_blocks', 'ledger_records', 'entries', 'sealed_contents']));
    expect(found.hits).toEqual([]);
    for (const file of readdirSync(join(suite.home, 'logs'))) {
      const text = readFileSync(join(suite.home, 'logs', file), 'utf8');
      expect(forms.filter((form) => text.includes(form))).toEqual([]);
    }
  }, 60_000);

  it('finds a trace where there is one', async () => {
    await suite.create('traced', 'content', { properties: { note: CANARY } });
    expect((await findInDatabases(suite.home, [CANARY])).hits).toContain('kms_vault.entries');
  });

  it('keeps its secrets to itself', () => {
    for (const file of ['admin.json', 'secrets.json', 'root.key', 'log-wrapping.key', 'log.key', 'admin.key'])
      expect(statSync(join(suite.home, file)).mode & 0o777).toBe(0o600);
  });
});

describe('the README', () => {
  const [install, session = '', containers, develop, ...others] = readmeBlocks();

  it('has no lines to run but the two commands, one session, the containers’ and the tests', () => {
    const compose = 'npm ci && npm run build\nnode tools/containers/make-secrets.mjs\ndocker compose up --build\n';
    expect([install, containers, develop, others]).toEqual(['npm ci\nnpm start\n', compose, 'npm ci\nnpm test\n', []]);
  });

  it('prints a session that works as it is printed', async () => {
    const printed = runShell(session, suite);
    const created = /^\{"id":"[0-9a-f]{24}",.*?"handler":"aws-s3-prod-credentials".*?\}/;
    expect(printed).toMatch(new RegExp(`${created.source}\\{"content":"EXAMPLE_ACCESS_KEY"\\}\\{"entities":"AuditRecord",.*\\}$`));

    const [variables, , , query] = session.split('\n\n');
    await waitFor('the records of both', () => {
      const { elements } = JSON.parse(runShell(`${variables}\n${query}`, suite, { standInFirst: true })) as {
        elements: { action: string }[];
      };
      return elements.map(({ action }) => action).join() === 'reveal,create';
    });
  });
});

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '@kms/embedded';
import { waitFor } from '@kms/testing';
import { findInDatabases, processesWith, servicePid } from './inspect.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** A multiple of three bytes, so that its base64 stands whole in that of a text that begins with it. */
const CANARY = 'canary-7f3a9c51e8b2-x';

const passwordFiles = () => readdirSync(tmpdir()).filter((name) => name.includes('password'));
const passwordFilesBefore = passwordFiles();

let folder: string;
let home: string;
let port: number;
let launcher: ChildProcess;
let output: string;
let admin: { baseUrl: string; organizationId: string; apiKey: string };

const launcherEnvironment = () => ({ PATH: process.env['PATH'], KMS_HOME: home, PORT: String(port) });

async function start(): Promise<void> {
  output = '';
  launcher = spawn(process.execPath, ['tools/launcher/start.mjs'], {
    cwd: ROOT,
    env: launcherEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  for (const stream of [launcher.stdout, launcher.stderr]) stream?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await waitFor('the suite to be ready', () => output.includes('Ready in') || launcher.exitCode !== null, 40_000);
  if (launcher.exitCode !== null) throw new Error(output);
  admin = JSON.parse(readFileSync(join(home, 'admin.json'), 'utf8')) as typeof admin;
}

async function stop(): Promise<void> {
  const exit = once(launcher, 'exit');
  launcher.kill('SIGTERM');
  expect(await exit).toEqual([0, null]);
}

interface Answer {
  status: number;
  body: Record<string, unknown>;
  headers: Headers;
}

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(`${admin.baseUrl}${path}`, {
    method,
    headers: { authorization: `Bearer ${admin.apiKey}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown>, headers: response.headers };
}

const create = (handler: string, content: string, more: object = {}) =>
  call('POST', '/kms.json', { kmsEntry: { name: handler, handler, content, whitelist: ['127.0.0.1'], ...more } });

const records = async (query: string) => (await call('GET', `/audit.json?${query}`)).body['elements'] as Record<string, unknown>[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kms-e2e-'));
  chmodSync(folder, 0o755);
  home = join(folder, 'home');
  port = await freePort();
  await start();
}, 60_000);

afterAll(async () => {
  if (launcher.exitCode === null) await stop();
  rmSync(folder, { recursive: true, force: true });
}, 30_000);

describe('the suite', () => {
  it('stores a secret, reveals it, and holds the record of it', async () => {
    expect(await create('aws-s3', CANARY, { properties: { region: 'us-east-1' } })).toMatchObject({ status: 201, body: { revision: 1 } });
    const revealed = await call('GET', '/kms/reveal/aws-s3.json', undefined, { 'user-agent': 'e2e/1.0' });
    expect(revealed).toMatchObject({ status: 200, body: { content: CANARY } });
    expect(revealed.headers.get('cache-control')).toBe('no-store');
    const [record] = await waitFor('the record', async () => {
      const found = await records('handler=aws-s3&outcome=success');
      return found.some(({ action }) => action === 'reveal') ? found : null;
    });
    expect(record).toMatchObject({
      action: 'reveal',
      organizationId: admin.organizationId,
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
    expect((await call('GET', '/ping.json')).body).toEqual({
      status: 'success',
      env: 'production',
      RRT: expect.stringMatching(/^[0-9.]+ ms$/),
    });
    expect((await call('GET', '/connection.json')).body).toMatchObject({
      client: { ips: { ipv4: '127.0.0.1' } },
      endpoint: { apiVersion: '2026-02-01' },
    });
    expect((await call('GET', '/kms.json')).body).toMatchObject({
      entities: 'KMSEntry',
      per_page: 100,
      pages: { current: 1, max: 1 },
      elements: [{ handler: 'aws-s3' }],
    });
    expect((await call('GET', '/kms.json?page=9')).body['elements']).toEqual([]);
    expect((await call('GET', '/kms/aws-s3.json')).body).toMatchObject({ whitelist: ['127.0.0.1'], properties: { region: 'us-east-1' } });
  });

  it('refuses with one sentence, and records the refusal', async () => {
    const wrong = (key: string) => call('GET', '/kms/reveal/aws-s3.json', undefined, { authorization: key });
    for (const key of ['', 'Bearer nonsense', `Bearer ${admin.apiKey.slice(0, -1)}x`]) {
      expect(await wrong(key)).toMatchObject({ status: 401, body: { error: 'Invalid token' } });
    }
    expect(await call('GET', '/kms/reveal/nobody.json')).toMatchObject({ status: 404, body: { error: 'This KMSEntry does not exist' } });
    await create('closed', 'x', { whitelist: [] });
    expect(await call('GET', '/kms/reveal/closed.json')).toMatchObject({
      status: 403,
      body: { error: 'Unauthorized to reveal this KMS Entry' },
    });
    await waitFor('the refusals’ records', async () => {
      const reasons = (await records('outcome=denied')).map(({ reason }) => reason);
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
    const answer = await call(method, path, body);
    expect(answer.status).toBe(status);
    expect(Object.keys(answer.body)).toEqual(['error']);
    expect(answer.body['error']).toMatch(message);
  });

  it('rotates, rolls past a stale If-Match, keeps binary content, and deletes', async () => {
    await create('rotated', 'one');
    expect(await call('POST', '/kms/rotated/versions.json', { kmsEntry: { content: 'AP8=', encoding: 'base64' } })).toMatchObject({
      status: 201,
    });
    expect((await call('GET', '/kms/reveal/rotated.json')).body).toEqual({ content: 'AP8=', encoding: 'base64' });
    expect((await call('GET', '/kms/reveal/rotated.json?version=1')).body).toEqual({ content: 'one' });
    expect((await call('GET', '/kms/reveal/rotated.json?version=3')).status).toBe(404);
    expect((await call('PATCH', '/kms/rotated.json', { kmsEntry: { name: 'x' } }, { 'if-match': '"1"' })).status).toBe(412);
    expect((await call('PATCH', '/kms/rotated.json', { kmsEntry: { enabled: false } }, { 'if-match': '"2"' })).status).toBe(200);
    expect((await call('GET', '/kms/reveal/rotated.json')).status).toBe(403);
    expect((await call('DELETE', '/kms/rotated.json')).status).toBe(200);
    // A refusal may rest on a policy that is up to 250 ms old, so the reason changes a moment later than the entry.
    await waitFor('the entry to be gone', async () => (await call('GET', '/kms/reveal/rotated.json')).status === 404);
  });

  it('grants no reveal on the old whitelist once its change is acknowledged', async () => {
    await create('raced', 'x');
    let acknowledged = false;
    let grantedAfter = 0;
    let granted = 0;
    const reveal = async () => {
      const beganAfter = acknowledged;
      const { status } = await call('GET', '/kms/reveal/raced.json');
      if (status === 200) granted += 1;
      if (status === 200 && beganAfter) grantedAfter += 1;
    };
    const workers = Array.from({ length: 20 }, async () => {
      for (let turn = 0; turn < 50; turn += 1) await reveal();
    });
    await waitFor('some grants', () => granted > 100);
    expect((await call('PATCH', '/kms/raced.json', { kmsEntry: { whitelist: ['192.0.2.1'] } })).status).toBe(200);
    acknowledged = true;
    await Promise.all(workers);
    expect(grantedAfter).toBe(0);
    expect(granted).toBeLessThan(1_000);
  });

  it.each(['vault', 'audit', 'broker-process'])(
    'comes back by itself after its %s was killed, with every record',
    async (service) => {
      const handler = `after-${service}`;
      await create(handler, 'x');
      const pid = servicePid(launcher.pid as number, service);
      expect(pid).toBeDefined();
      process.kill(pid as number, 'SIGKILL');
      if (service === 'vault') expect((await call('GET', `/kms/reveal/${handler}.json`)).status).toBe(503);
      else expect((await call('GET', `/kms/reveal/${handler}.json`)).status).toBe(200);
      await waitFor('a reveal', async () => (await call('GET', `/kms/reveal/${handler}.json`)).status === 200);
      await waitFor(
        'the record',
        async () => (await call('GET', `/audit.json?handler=${handler}&outcome=success`)).body['count'] as number,
        50_000,
      );
    },
    70_000,
  );

  it('leaves no trace of a secret but its ciphertext, revealed and rotated 100 times', async () => {
    await create('canary', `${CANARY}0`);
    for (let turn = 1; turn <= 100; turn += 1) {
      const kmsEntry = { content: `${CANARY}${turn}` };
      expect((await call('POST', '/kms/canary/versions.json', { kmsEntry })).status).toBe(201);
      expect((await call('GET', '/kms/reveal/canary.json')).body).toEqual(kmsEntry);
    }
    const inLedger = async () => (await call('GET', '/audit.json?handler=canary&outcome=success&size=1')).body['count'] === 201;
    await waitFor('all records to come through the topic', inLedger, 40_000);

    const bytes = Buffer.from(CANARY);
    const traces = [CANARY, bytes.toString('base64'), bytes.toString('base64url'), bytes.toString('hex'), encodeURIComponent(CANARY)];
    // A column of bytes is shown in hexadecimal, so each trace is looked for in that form as well.
    const forms = [...new Set(traces.flatMap((trace) => [trace, Buffer.from(trace).toString('hex')]))];
    const found = await findInDatabases(home, forms);
    expect(found.searched).toEqual(expect.arrayContaining(['journal_blocks', 'ledger_records', 'entries', 'sealed_contents']));
    expect(found.hits).toEqual([]);
    for (const file of readdirSync(join(home, 'logs'))) {
      const text = readFileSync(join(home, 'logs', file), 'utf8');
      expect(forms.filter((form) => text.includes(form))).toEqual([]);
    }
  }, 60_000);

  it('finds a trace where there is one', async () => {
    await create('traced', 'content', { properties: { note: CANARY } });
    expect((await findInDatabases(home, [CANARY])).hits).toContain('kms_vault.entries');
  });

  it('keeps its secrets to itself', () => {
    for (const file of ['admin.json', 'secrets.json', 'root.key', 'admin.key']) expect(statSync(join(home, file)).mode & 0o777).toBe(0o600);
  });

  it('refuses a second start on the same home, and on the same port, with one sentence', async () => {
    const again = (environment: object) =>
      spawnSync(process.execPath, ['tools/launcher/start.mjs'], {
        cwd: ROOT,
        env: { ...launcherEnvironment(), ...environment },
        encoding: 'utf8',
      });
    const samePort = again({ KMS_HOME: join(folder, 'other') });
    expect([samePort.status, samePort.stderr]).toEqual([1, `Port ${port} is in use: set PORT to another one.\n`]);
    writeFileSync(join(folder, 'file'), '');
    const noFolder = again({ PORT: String(await freePort()), KMS_HOME: join(folder, 'file') });
    expect([noFolder.status, noFolder.stderr]).toEqual([1, `KMS_HOME ${join(folder, 'file')} is not a folder.\n`]);
    const sameHome = again({ PORT: String(await freePort()) });
    expect([sameHome.status, sameHome.stderr]).toEqual([1, expect.stringMatching(/^Another Donutwork KMS .*\n$/)]);
  });

  it('answers every reveal with 503 and no content while PostgreSQL is gone', async () => {
    const pid = Number(readFileSync(join(home, 'postgres', 'postmaster.pid'), 'utf8').split('\n', 1)[0]);
    process.kill(pid, 'SIGQUIT');
    await waitFor('PostgreSQL to be gone', () => !existsSync(`/proc/${pid}`));
    // The launcher starts it again after a second: what is asked within that second is refused.
    for (const { status, body } of await Promise.all(Array.from({ length: 10 }, () => call('GET', '/kms/reveal/aws-s3.json')))) {
      expect(status).toBe(503);
      expect(Object.keys(body)).toEqual(['error']);
    }
    await waitFor('PostgreSQL to be back', async () => (await call('GET', '/kms/reveal/aws-s3.json')).status === 200);
  }, 40_000);

  it('has the same key and the same secrets after a restart', async () => {
    const before = admin;
    await stop();
    await start();
    expect(admin).toEqual(before);
    expect((await call('GET', '/kms/reveal/aws-s3.json')).body).toEqual({ content: CANARY });
  }, 60_000);

  it('starts again after its launcher was killed', async () => {
    const exit = once(launcher, 'exit');
    launcher.kill('SIGKILL');
    await exit;
    const isDown = () =>
      fetch(`${admin.baseUrl}/ping.json`).then(
        () => false,
        () => true,
      );
    await waitFor('the services to end with their launcher', isDown);
    await start();
    expect((await call('GET', '/kms/reveal/aws-s3.json')).body).toEqual({ content: CANARY });
  }, 60_000);

  it('ends everything in order at Ctrl-C, which a terminal sends to the whole group', async () => {
    const exit = once(launcher, 'exit');
    process.kill(-(launcher.pid as number), 'SIGINT');
    expect(await exit).toEqual([0, null]);
    expect(output).not.toContain('ended by itself');
    expect(existsSync(join(home, 'postgres', 'postmaster.pid'))).toBe(false);
  }, 30_000);

  it('ends everything in order at Ctrl-C under npm', async () => {
    const npm = spawn('npm', ['start'], { cwd: ROOT, env: launcherEnvironment(), stdio: ['ignore', 'pipe', 'ignore'], detached: true });
    let said = '';
    npm.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await waitFor('the suite to be ready', () => said.includes('Ready in'), 40_000);
    const exit = once(npm, 'exit');
    process.kill(-(npm.pid as number), 'SIGINT');
    await exit;
    await waitFor('the launcher to end', () => processesWith(home).length === 0);
    expect(said).not.toContain('ended by itself');
    expect(existsSync(join(home, 'postgres', 'postmaster.pid'))).toBe(false);
  }, 60_000);

  it.each([100, 400, 900, 1_400])(
    'leaves no process behind when it is ended %i ms into a first start',
    async (milliseconds) => {
      const other = join(folder, `interrupted-${milliseconds}`);
      const child = spawn(process.execPath, ['tools/launcher/dist/main.js'], {
        cwd: ROOT,
        env: { ...launcherEnvironment(), KMS_HOME: other },
        stdio: 'ignore',
        detached: true,
      });
      const exit = once(child, 'exit');
      setTimeout(() => process.kill(-(child.pid as number), 'SIGINT'), milliseconds);
      const [code, signal] = (await exit) as [number | null, string | null];
      // Before its handlers are set, the signal itself ends it.
      expect(signal ?? code).toBe(milliseconds === 100 && signal !== null ? 'SIGINT' : 0);
      expect(processesWith(other)).toEqual([]);
    },
    30_000,
  );

  it('starts with the same secrets after that, and keeps nothing where others can read it', async () => {
    await start();
    expect((await call('GET', '/kms/reveal/aws-s3.json')).body).toEqual({ content: CANARY });
    expect(passwordFiles()).toEqual(passwordFilesBefore);
  }, 60_000);

  it('refuses the wrong root key with one sentence, and leaves nothing running', async () => {
    await stop();
    writeFileSync(join(home, 'root.key'), `${Buffer.alloc(32, 1).toString('base64')}\n`);
    await expect(start()).rejects.toThrow(/KMS_ROOT_KEY is not the root key/);
    expect(existsSync(join(home, 'postgres', 'postmaster.pid'))).toBe(false);
  }, 60_000);
});

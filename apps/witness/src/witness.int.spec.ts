import { fork, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { COSIGNATURE_V1, noteVerifier, parseSignatureLines, parseVerifierKey, verifiedSignatures } from '@kms/merkle';
import { waitFor } from '@kms/testing';
import { logKey, TestLog } from './log.fixture.ts';

const program = (name: string) => fileURLToPath(new URL(`../dist/${name}.js`, import.meta.url));
const log = new TestLog(50);

let folder: string;
let running: ChildProcess | undefined;
/** Where its metrics and its health are. */
let watched: string;

const variables = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  PATH: process.env['PATH'],
  PORT: '0',
  WITNESS_KEY_FILE: join(folder, 'witness.key'),
  WITNESS_LOGS_FILE: join(folder, 'logs'),
  WITNESS_STATE_DIRECTORY: join(folder, 'state'),
  ...more,
});

const makeKey = (more: NodeJS.ProcessEnv = {}) =>
  spawnSync(process.execPath, [program('make-witness-key')], {
    env: { WITNESS_KEY_PATH: join(folder, 'witness.key'), WITNESS_NAME: 'witness.example/1', ...more },
    encoding: 'utf8',
  });

/** Starts the witness, and answers where it is. */
async function start(more: NodeJS.ProcessEnv = {}): Promise<string> {
  running = fork(program('main'), { env: variables(more), execArgv: [], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  const [{ ready }] = (await once(running, 'message')) as [{ ready: { port: number; metricsPort: number } }];
  watched = `http://127.0.0.1:${ready.metricsPort}`;
  return `http://127.0.0.1:${ready.port}`;
}

async function end(): Promise<void> {
  if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
  const exit = once(running, 'exit');
  running.kill('SIGTERM');
  expect(await exit).toEqual([0, null]);
}

const post = async (url: string, oldSize: number, size: number) =>
  fetch(`${url}/add-checkpoint`, { method: 'POST', body: Buffer.from(await log.request(oldSize, size)) });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kms-witness-'));
  writeFileSync(join(folder, 'logs'), `example.org/audit/* ${logKey(1)}\n`);
});
afterEach(async () => {
  await end();
  rmSync(folder, { recursive: true });
});

describe('the witness, as a process,', () => {
  it('cosigns over HTTP with the key that was made for it', async () => {
    const made = makeKey();
    expect([made.status, made.stderr]).toEqual([0, '']);
    expect(statSync(join(folder, 'witness.key')).mode & 0o777).toBe(0o600);
    const verifier = noteVerifier(parseVerifierKey(made.stdout.trim()), [COSIGNATURE_V1]);
    const url = await start();
    const response = await post(url, 0, 50);
    const signatures = parseSignatureLines(Buffer.from(await response.arrayBuffer()));
    expect(verifiedSignatures({ text: (await log.note(50)).text, signatures }, [verifier])).toHaveLength(1);
    const conflict = await post(url, 0, 50);
    expect([conflict.status, conflict.headers.get('content-type'), await conflict.text()]).toEqual([409, 'text/x.tlog.size', '50\n']);
  });

  it('answers what is no request with what is wrong about it, and goes on', async () => {
    makeKey();
    const url = await start();
    expect((await fetch(`${url}/`)).status).toBe(404);
    expect((await fetch(`${url}/add-checkpoint`)).status).toBe(405);
    expect((await fetch(`${url}/add-checkpoint`, { method: 'POST', body: 'x' })).status).toBe(400);
    expect(await tooLong(url)).toBe(413);
    expect((await post(url, 0, 3)).status).toBe(200);
  });

  it('is ready while it has its state, and alive all the same where it is away', async () => {
    makeKey();
    const url = await start();
    const health = async (kind: 'live' | 'ready') => {
      const answer = await fetch(`${watched}/health/${kind}`);
      return [answer.status, await answer.json()];
    };
    for (const kind of ['live', 'ready'] as const) expect(await health(kind)).toEqual([200, { status: 'ok' }]);
    renameSync(join(folder, 'state'), join(folder, 'away'));
    const failing = { status: 'failing', failing: ['state'] };
    await waitFor('it to notice', async () => (await health('ready'))[0] === 503, 10_000);
    expect([await health('ready'), (await health('live'))[0]]).toEqual([[503, failing], 200]);
    expect((await post(url, 0, 3)).status).toBe(500);
    renameSync(join(folder, 'away'), join(folder, 'state'));
    await waitFor('it to be ready again', async () => (await health('ready'))[0] === 200, 10_000);
    expect((await post(url, 0, 3)).status).toBe(200);
    const metrics = await (await fetch(`${watched}/metrics`)).text();
    expect(metrics).toContain('kms_witness_checkpoints_total{outcome="cosigned"} 1');
    expect(metrics).toContain('kms_witness_checkpoints_total{outcome="failed"} 1');
  }, 40_000);

  it('is where it was, killed between its disk and its answer', async () => {
    makeKey();
    const first = await start();
    expect((await post(first, 0, 10)).status).toBe(200);
    await end();
    for (let size = 11; size <= 14; size += 1) {
      const url = await start({ KMS_FAILPOINTS: 'witness.stored', NODE_ENV: 'test' });
      const exit = once(running as ChildProcess, 'exit');
      await expect(post(url, size - 1, size)).rejects.toThrow();
      expect(await exit).toEqual([null, 'SIGKILL']);
      const again = await start();
      const conflict = await post(again, size - 1, size);
      expect([conflict.status, await conflict.text()]).toEqual([409, `${size}\n`]);
      expect((await post(again, size, size)).status).toBe(200);
      await end();
    }
  }, 60_000);

  it('refuses, with one sentence, a key or a list that it cannot use, and to make a key where one is', () => {
    const refused = (more: NodeJS.ProcessEnv) => {
      const { status, stderr } = spawnSync(process.execPath, [program('main')], { env: variables(more), encoding: 'utf8' });
      return [status, stderr];
    };
    expect(refused({})).toEqual([1, 'witness: The file that WITNESS_KEY_FILE names cannot be read: ENOENT.\n']);
    expect(makeKey({ WITNESS_NAME: 'Not a name' }).stderr).toMatch(/^witness: WITNESS_NAME is not valid: .*\n$/);
    expect(makeKey().status).toBe(0);
    const key = readFileSync(join(folder, 'witness.key'), 'utf8');
    expect([makeKey().status, readFileSync(join(folder, 'witness.key'), 'utf8')]).toEqual([1, key]);
    writeFileSync(join(folder, 'logs'), 'nonsense');
    expect(refused({})).toEqual([1, 'witness: WITNESS_LOGS is not valid: Each line must be an origin, a space and a public key.\n']);
  });
});

/** A body without end, of which the witness reads no more than it takes. */
function tooLong(url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${url}/add-checkpoint`, { method: 'POST' }, (response) => {
      resolve(response.statusCode);
      response.resume();
      request.destroy();
    });
    request.on('error', reject);
    request.write(Buffer.alloc(70_000, 'x'));
  });
}

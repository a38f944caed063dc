import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '@kms/embedded';
import { waitFor } from '@kms/testing';
import { processesWith, servicePid } from './inspect.ts';
import { ROOT, Suite } from './suite.ts';

const passwordFiles = () => readdirSync(tmpdir()).filter((name) => name.includes('password'));
const passwordFilesBefore = passwordFiles();

let suite: Suite;

beforeAll(async () => {
  suite = await Suite.make();
  await suite.start();
  expect((await suite.create('kept', 'content')).status).toBe(201);
}, 60_000);

afterAll(() => suite.remove(), 30_000);

const expectSecret = async () => expect(await suite.reveal('kept')).toMatchObject({ status: 200, body: { content: 'content' } });

describe('the launcher', () => {
  it('refuses a second start on the same home, and on the same port, with one sentence', async () => {
    const { folder, port } = suite;
    const samePort = suite.refusedStart({ KMS_HOME: join(folder, 'other') });
    expect(samePort).toMatchObject({ status: 1, stderr: `Port ${port} is in use: set PORT to another one.\n` });
    writeFileSync(join(folder, 'file'), '');
    const noFolder = suite.refusedStart({ PORT: String(await freePort()), KMS_HOME: join(folder, 'file') });
    expect(noFolder).toMatchObject({ status: 1, stderr: `KMS_HOME ${join(folder, 'file')} is not a folder.\n` });
    const sameHome = suite.refusedStart({ PORT: String(await freePort()) });
    expect(sameHome).toMatchObject({ status: 1, stderr: expect.stringMatching(/^Another Donutwork KMS .*\n$/) });
  });

  it('refuses a Node that is too old, and a home that cannot be written, with one sentence', async () => {
    const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.18.3' } })`;
    const tooOld = suite.refusedStart({}, ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`]);
    expect(tooOld).toMatchObject({ status: 1, stderr: 'Node 20.18.3 is too old: 20.19.0 or newer is needed.\n' });
    const unwritable = suite.refusedStart({ PORT: String(await freePort()), KMS_HOME: '/proc/kms' });
    expect(unwritable).toMatchObject({ status: 1, stderr: 'KMS_HOME /proc/kms cannot be written: ENOENT.\n' });
  });

  it('has the same key and the same secrets after a restart', async () => {
    const { admin } = suite;
    await suite.stop();
    await suite.start();
    expect(suite.admin).toEqual(admin);
    await expectSecret();
  }, 60_000);

  it('starts again after its launcher was killed', async () => {
    await suite.endWith('SIGKILL');
    await suite.untilDown();
    await suite.start();
    await expectSecret();
  }, 60_000);

  it('ends at once at a second Ctrl-C, leaves no process, and starts again', async () => {
    // A service that does not answer keeps the orderly end waiting.
    process.kill(servicePid(suite.pid, 'vault') as number, 'SIGSTOP');
    const exit = once(suite.launcher, 'exit');
    await waitFor('the end', () => !suite.launcher.kill('SIGINT'));
    expect(await exit).toEqual([130, null]);
    await waitFor('all processes to end', () => processesWith(suite.home).length === 0);
    await suite.start();
    await expectSecret();
  }, 60_000);

  it('ends everything in order at Ctrl-C, which a terminal sends to the whole group', async () => {
    const exit = once(suite.launcher, 'exit');
    process.kill(-suite.pid, 'SIGINT');
    expect(await exit).toEqual([0, null]);
    expect(suite.output).not.toContain('ended by itself');
    expect(existsSync(join(suite.home, 'postgres', 'postmaster.pid'))).toBe(false);
  }, 30_000);

  it('ends everything in order at Ctrl-C under npm', async () => {
    const npm = spawn('npm', ['start'], { cwd: ROOT, env: suite.environment, stdio: ['ignore', 'pipe', 'ignore'], detached: true });
    let said = '';
    npm.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await waitFor('the suite to be ready', () => said.includes('Ready in'), 40_000);
    const exit = once(npm, 'exit');
    process.kill(-(npm.pid as number), 'SIGINT');
    await exit;
    await waitFor('the launcher to end', () => processesWith(suite.home).length === 0);
    expect(said).not.toContain('ended by itself');
    expect(existsSync(join(suite.home, 'postgres', 'postmaster.pid'))).toBe(false);
  }, 60_000);

  it.each([100, 400, 900, 1_400])(
    'leaves no process behind when it is ended %i ms into a first start',
    async (milliseconds) => {
      const other = join(suite.folder, `interrupted-${milliseconds}`);
      const child = spawn(process.execPath, ['tools/launcher/dist/main.js'], {
        cwd: ROOT,
        env: { ...suite.environment, KMS_HOME: other },
        stdio: 'ignore',
        detached: true,
      });
      const exit = once(child, 'exit');
      setTimeout(() => process.kill(-(child.pid as number), 'SIGINT'), milliseconds);
      const [code, signal] = (await exit) as [number | null, string | null];
      // Before its handlers are set, which takes longer on a busy machine, the signal itself ends it.
      expect(signal ?? code).toBe(signal === null ? 0 : 'SIGINT');
      expect(processesWith(other)).toEqual([]);
    },
    30_000,
  );

  it('starts with the same secrets after that, and keeps nothing where others can read it', async () => {
    await suite.start();
    await expectSecret();
    expect(passwordFiles()).toEqual(passwordFilesBefore);
  }, 60_000);

  it('refuses the wrong root key with one sentence, and leaves nothing running', async () => {
    await suite.stop();
    writeFileSync(join(suite.home, 'root.key'), `${Buffer.alloc(32, 1).toString('base64')}\n`);
    await expect(suite.start()).rejects.toThrow(/KMS_ROOT_KEY is not the root key/);
    expect(existsSync(join(suite.home, 'postgres', 'postmaster.pid'))).toBe(false);
  }, 60_000);
});

import { fork, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CHECKPOINT_TOPIC } from '@kms/contracts';
import { freePort } from '@kms/embedded';
import { COSIGNATURE_V1, noteVerifier, openCheckpoint, parseVerifierKey, type CheckpointPolicy } from '@kms/merkle';
import { readTopic, waitFor } from '@kms/testing';
import { checkpoint, logPolicy, sizeOf } from './log.ts';
import { ROOT, Suite } from './suite.ts';

let folder: string;
let suite: Suite;
let port: number;
let witnessKey: string;
let witness: ChildProcess | undefined;

async function startWitness(): Promise<void> {
  const env = {
    PATH: process.env['PATH'],
    PORT: String(port),
    WITNESS_KEY_FILE: join(folder, 'witness.key'),
    WITNESS_LOGS_FILE: join(folder, 'logs'),
    WITNESS_STATE_DIRECTORY: join(folder, 'state'),
  };
  witness = fork(join(ROOT, 'apps/witness/dist/main.js'), { env, execArgv: [], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  await once(witness, 'message');
}

async function killWitness(): Promise<void> {
  const exit = once(witness as ChildProcess, 'exit');
  witness?.kill('SIGKILL');
  await exit;
}

/** What an auditor believes who asks for the witness. */
async function witnessedPolicy(): Promise<CheckpointPolicy> {
  return { ...(await logPolicy(suite)), witnesses: [noteVerifier(parseVerifierKey(witnessKey), [COSIGNATURE_V1])], quorum: 1 };
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kms-witness-'));
  port = await freePort();
  const made = spawnSync(process.execPath, ['apps/witness/dist/make-witness-key.js'], {
    cwd: ROOT,
    env: { WITNESS_KEY_PATH: join(folder, 'witness.key'), WITNESS_NAME: 'witness.example' },
    encoding: 'utf8',
  });
  witnessKey = made.stdout.trim();
  suite = await Suite.make({ WITNESSES: `http://127.0.0.1:${port} ${witnessKey}` });
  await suite.start();
  const [, logKey] = /The audit log is signed by (\S+) /.exec(suite.output) ?? [];
  writeFileSync(join(folder, 'logs'), `localhost/audit/* ${logKey}\n`);
}, 60_000);

afterAll(async () => {
  await suite.remove();
  await killWitness();
  rmSync(folder, { recursive: true });
}, 30_000);

describe('the suite with a witness', () => {
  it('reveals while the witness is away, and publishes nothing until it has cosigned', async () => {
    await suite.create('witnessed', 'x');
    expect((await suite.reveal('witnessed')).status).toBe(200);
    await waitFor('the trouble in the log', () => suite.log('audit').includes('Too few witnesses cosign'));
    expect(await checkpoint(suite)).toBe('');
    await startWitness();
    const note = await waitFor('a checkpoint', () => checkpoint(suite), 30_000);
    expect(openCheckpoint(Buffer.from(note), await witnessedPolicy()).checkpoint.size).toBeGreaterThan(0);
    expect((await suite.call('GET', '/audit/keys.json')).body).toMatchObject({ witnesses: [witnessKey], quorum: 1 });
  }, 60_000);

  it('goes on where the witness comes back, after a restart of its own too, and everything on the topic is cosigned', async () => {
    const before = sizeOf(await checkpoint(suite));
    await killWitness();
    await suite.stop();
    await suite.start();
    await suite.reveal('witnessed');
    await waitFor('the records', async () => (await suite.count('')) > before + 1, 40_000);
    expect(sizeOf(await checkpoint(suite))).toBe(before);
    await startWitness();
    const note = await waitFor(
      'a later checkpoint',
      async () => {
        const newest = await checkpoint(suite);
        return sizeOf(newest) > before ? newest : null;
      },
      30_000,
    );
    const messages = await readTopic(await suite.brokers(), CHECKPOINT_TOPIC, (sofar) =>
      sofar.some(({ value }) => sizeOf(value) >= sizeOf(note)),
    );
    const policy = await witnessedPolicy();
    for (const { value } of messages) openCheckpoint(Buffer.from(value), policy);
    expect(readFileSync(join(suite.home, 'logs', 'audit.log'), 'utf8')).toContain('The witnesses cosign again.');
  }, 90_000);

  it('refuses a list of witnesses that is none with one sentence', async () => {
    await suite.stop();
    const refused = (variables: Record<string, string>) => suite.refusedStart(variables);
    expect(refused({ WITNESS_QUORUM: '2' })).toMatchObject({
      status: 1,
      stderr: 'audit: WITNESS_QUORUM is above the number of WITNESSES.\n',
    });
    expect(refused({ WITNESSES: 'nobody' })).toMatchObject({ status: 1, stderr: expect.stringMatching(/^audit: WITNESSES is not valid: it must be a URL/) }); // prettier-ignore
    await suite.start();
  }, 90_000);
});

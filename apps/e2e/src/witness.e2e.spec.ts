import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CHECKPOINT_TOPIC } from '@kms/contracts';
import { COSIGNATURE_V1, noteVerifier, openCheckpoint, parseVerifierKey, type CheckpointPolicy } from '@kms/merkle';
import { readTopic, waitFor } from '@kms/testing';
import { checkpoint, logPolicy, sizeOf } from './log.ts';
import { Suite } from './suite.ts';
import { Witness } from './witness.ts';

let suite: Suite;
let witness: Witness;

/** What an auditor believes who asks for the witness. */
async function witnessedPolicy(): Promise<CheckpointPolicy> {
  return { ...(await logPolicy(suite)), witnesses: [noteVerifier(parseVerifierKey(witness.key), [COSIGNATURE_V1])], quorum: 1 };
}

beforeAll(async () => {
  witness = await Witness.make();
  suite = await Suite.make(witness.variables);
  await suite.start();
  witness.knows(suite);
}, 60_000);

afterAll(async () => {
  await suite.remove();
  await witness.remove();
}, 30_000);

describe('the suite with a witness', () => {
  it('reveals while the witness is away, and publishes nothing until it has cosigned', async () => {
    await suite.create('witnessed', 'x');
    expect((await suite.reveal('witnessed')).status).toBe(200);
    await waitFor('the trouble in the log', () => suite.log('audit').includes('Too few witnesses cosign'));
    expect(await checkpoint(suite)).toBe('');
    await witness.start();
    const note = await waitFor('a checkpoint', () => checkpoint(suite), 30_000);
    expect(openCheckpoint(Buffer.from(note), await witnessedPolicy()).checkpoint.size).toBeGreaterThan(0);
    expect((await suite.call('GET', '/audit/keys.json')).body).toMatchObject({ witnesses: [witness.key], quorum: 1 });
  }, 60_000);

  it('goes on where the witness comes back, after a restart of its own too, and everything on the topic is cosigned', async () => {
    const before = sizeOf(await checkpoint(suite));
    await witness.kill();
    await suite.stop();
    await suite.start();
    await suite.reveal('witnessed');
    await waitFor('the records', async () => (await suite.count('')) > before + 1, 40_000);
    expect(sizeOf(await checkpoint(suite))).toBe(before);
    await witness.start();
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

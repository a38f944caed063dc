import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { verifyConsistency, verifyInclusion } from '@kms/merkle';
import { waitFor } from '@kms/testing';
import { checkpoint, logPolicy, sizeOf } from './log.ts';
import { Suite } from './suite.ts';

let suite: Suite;

beforeAll(async () => {
  suite = await Suite.make();
  await suite.start();
}, 60_000);

afterAll(() => suite.remove(), 30_000);

const bytes = (base64: string) => Buffer.from(base64, 'base64');

describe('the audit log', () => {
  it('redeems the receipt of a reveal for a proof that is checked offline', async () => {
    await suite.create('proven', 'x');
    const revealed = await suite.reveal('proven');
    const [, id, writer, sequence, hash] =
      /^([0-9a-f]{24}); writer=([0-9a-f]{24}); sequence=([0-9]+); hash=([0-9a-f]{64})$/.exec(revealed.headers.get('audit-record') ?? '') ??
      [];
    const proven = await waitFor('the proof', async () => {
      const answer = await suite.call('GET', `/audit/proof/${id}.json`);
      return answer.status === 200 ? answer.body : null;
    });
    const { record, index, proof, checkpoint: note } = proven as { record: string; index: number; proof: string[]; checkpoint: string };

    const evidence = { record: bytes(record), index, proof: proof.map(bytes), checkpoint: Buffer.from(note) };
    expect(verifyInclusion(evidence, await logPolicy(suite)).checkpoint.size).toBe(sizeOf(note));
    const event = JSON.parse(evidence.record.toString()) as Record<string, string>;
    expect(event).toMatchObject({ id, writer, sequence: sequence?.padStart(16, '0'), subject: 'proven', type: 'kms.secret.revealed.v1' });
    const chain = createHash('sha256')
      .update(Buffer.from(event['previoushash'] as string, 'hex'))
      .update(evidence.record)
      .digest('hex');
    expect(chain).toBe(hash);

    const believed = await logPolicy(suite);
    const changed = Buffer.from(evidence.record.toString().replace('"success"', '"denied_"'));
    expect(() => verifyInclusion({ ...evidence, record: changed }, believed)).toThrow(/.+/);
    expect(() => verifyInclusion(evidence, { ...believed, origin: `localhost/audit/${'0'.repeat(24)}` })).toThrow('another log');
  });

  it('shows that a later checkpoint extends an earlier one, also over a restart', async () => {
    const old = await waitFor('a checkpoint', () => checkpoint(suite));
    await suite.create('later', 'x');
    await suite.stop();
    await suite.start();
    await suite.reveal('later');
    const next = await waitFor('a later checkpoint', async () => {
      const note = await checkpoint(suite);
      return sizeOf(note) > sizeOf(old) ? note : null;
    });
    const { status, body } = await suite.call('GET', `/audit/consistency.json?from=${sizeOf(old)}&to=${sizeOf(next)}`);
    expect(status).toBe(200);
    const proof = (body['proof'] as string[]).map(bytes);
    const evidence = { old: Buffer.from(old), next: Buffer.from(next), proof };
    expect(verifyConsistency(evidence, await logPolicy(suite)).checkpoint.size).toBe(sizeOf(next));
  }, 60_000);

  it.each([
    ['/audit/proof/nonsense.json', 404, 'This record does not exist'],
    [`/audit/proof/${'a'.repeat(24)}.json`, 404, 'This record does not exist'],
    ['/audit/consistency.json?from=2&to=1', 400, /from must not be above to/],
    ['/audit/consistency.json?from=1', 400, /to/],
    ['/audit/consistency.json?from=0&to=1000000', 404, /No checkpoint reaches this far/],
  ])('refuses %s', async (path, status, sentence) => {
    const answer = await suite.call('GET', path);
    expect([answer.status, answer.body['error']]).toEqual([status, expect.stringMatching(sentence)]);
  });

  it('is signed by a key that its file does not give away', () => {
    expect(readFileSync(join(suite.home, 'log.key'), 'utf8')).toMatch(/^kms-log-key\/1 localhost\/audit\+\S+ \S{144}\n$/);
  });
});

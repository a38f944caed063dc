import { beforeAll, describe, expect, it } from '@jest/globals';
import {
  COSIGNATURE_V1,
  cosigner,
  ED25519_NOTE,
  NODE_CRYPTOGRAPHY,
  noteSigner,
  noteVerifier,
  SHA256_TREE,
  signNote,
  writeCheckpoint,
  writeNote,
  writeVerifierKey,
  type NoteSigner,
} from '@kms/merkle';
import { judgePublished, judgeSent } from './published.ts';

const NAME = 'example.org/audit';
const ORIGIN = `${NAME}/${'1'.repeat(24)}`;
const pair = (seed: number) => NODE_CRYPTOGRAPHY.ed25519.signingKey(Buffer.alloc(32, seed));
const log = noteSigner(NAME, pair(1));
const witness = (seed: number) => cosigner('witness.example', pair(seed), () => 1_764_000_000);
const policy = {
  origin: ORIGIN,
  logKeys: [noteVerifier({ name: NAME, type: ED25519_NOTE.type, publicKey: pair(1).publicKey }, [ED25519_NOTE])],
};
const witnessKey = writeVerifierKey({ name: 'witness.example', type: COSIGNATURE_V1.type, publicKey: pair(2).publicKey });

async function checkpoint(size: number, ...signers: NoteSigner[]): Promise<Uint8Array> {
  const text = writeCheckpoint({ origin: ORIGIN, size, root: SHA256_TREE.leaf(Buffer.from([size])), extensions: [] });
  return writeNote(await signNote({ text, signatures: [] }, signers));
}

describe('what was published of a log', () => {
  let cosigned: Uint8Array[];

  beforeAll(async () => {
    cosigned = [await checkpoint(1, log, witness(2)), await checkpoint(3, log, witness(2))];
  });

  it('is right where the witness has cosigned each checkpoint and knows the last one, or a later one', async () => {
    for (const size of [3, 4]) expect(judgePublished(cosigned, await checkpoint(size, log), policy, witnessKey)).toEqual([]);
    expect(judgePublished([], null, policy, witnessKey)).toEqual([]);
  });

  it.each([
    ['nobody has cosigned', () => checkpoint(2, log)],
    ['another witness has cosigned', () => checkpoint(2, log, witness(3))],
    ['the log has not signed', () => checkpoint(2, witness(2))],
  ])('is not where there is a checkpoint that %s', async (_what, make) => {
    const notes = [cosigned[0], await make(), cosigned[1]] as Uint8Array[];
    expect(judgePublished(notes, await checkpoint(3, log), policy, witnessKey)).toEqual([
      expect.stringMatching(/^The checkpoint of \S+ at 2 should not have been published: /),
    ]);
  });

  it.each([
    ['nothing', null, 0],
    ['an earlier one', 2, 2],
  ])('is not where the witness keeps %s', async (_what, size, known) => {
    const kept = size === null ? null : await checkpoint(size, log);
    expect(judgePublished(cosigned, kept, policy, witnessKey)).toEqual([
      `The witness knows ${known} records of ${ORIGIN}, of which 3 are published.`,
    ]);
  });

  it('is all that may be on the topic', () => {
    expect(judgeSent(['a\n1\n', 'b\n2\n'], ['b\n2\n', 'a\n1\n'])).toEqual([]);
    expect(judgeSent(['a\n1\n', 'c\n9\nx'], ['a\n1\n'])).toEqual(['A checkpoint is on the topic and was never published: c 9.']);
  });
});

import { describe, expect, it } from '@jest/globals';
import { ED25519_NOTE, openCheckpoint, SHA256_TREE, signNote, writeCheckpoint, writeNote, type SignerKey } from '@kms/merkle';
import { logKeysOf, type LogKeys } from './log-keys.ts';
import { rotateLogKeys } from './rotate-log-keys.ts';

const ORGANIZATION = '1'.repeat(24);
const seed = (byte: number) => Buffer.alloc(32, byte);
const first: SignerKey[] = [{ name: 'example.org/audit', type: ED25519_NOTE.type, seed: seed(1) }];
const both = rotateLogKeys(first, 'begin', seed(2));
const second = rotateLogKeys(both, 'finish', seed(3));

async function checkpointBy(keys: LogKeys): Promise<Uint8Array> {
  const text = writeCheckpoint({ origin: keys.origin(ORGANIZATION), size: 0, root: SHA256_TREE.emptyRoot(), extensions: [] });
  return writeNote(await signNote({ text, signatures: [] }, keys.signers));
}

describe('the rotation of the log key', () => {
  it('has both keys sign for a while, so that who knows either believes a checkpoint', async () => {
    const note = await checkpointBy(logKeysOf(both));
    for (const known of [first, second, both]) expect(openCheckpoint(note, logKeysOf(known).policy(ORGANIZATION)).checkpoint.size).toBe(0);
  });

  it('ends with the new key alone, under the same name', async () => {
    const note = await checkpointBy(logKeysOf(second));
    expect(() => openCheckpoint(note, logKeysOf(first).policy(ORGANIZATION))).toThrow('None of the log’s keys');
    expect(logKeysOf(second).origin(ORGANIZATION)).toBe(logKeysOf(first).origin(ORGANIZATION));
    expect(second).toEqual([both[1]]);
  });

  it('is not begun twice, nor finished where it was not begun', () => {
    expect(() => rotateLogKeys(both, 'begin', seed(3))).toThrow('There are two keys already');
    expect(() => rotateLogKeys(first, 'finish', seed(3))).toThrow('There is one key');
  });
});

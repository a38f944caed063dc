import { describe, expect, it } from '@jest/globals';
import { ED25519_NOTE, openCheckpoint, SHA256_TREE, signNote, writeCheckpoint, writeNote, writeSignerKey } from '@kms/merkle';
import { parseLogKeys, type LogKeys } from './log-keys.ts';
import { rotateLogKeys } from './rotate-log-keys.ts';

const ORGANIZATION = '1'.repeat(24);
const seed = (byte: number) => Buffer.alloc(32, byte);
const first = `${writeSignerKey({ name: 'example.org/audit', type: ED25519_NOTE.type, seed: seed(1) })}\n`;
const both = rotateLogKeys(first, 'begin', seed(2));
const second = rotateLogKeys(both, 'finish', seed(3));

async function checkpointBy(keys: LogKeys): Promise<Uint8Array> {
  const text = writeCheckpoint({ origin: keys.origin(ORGANIZATION), size: 0, root: SHA256_TREE.emptyRoot(), extensions: [] });
  return writeNote(await signNote({ text, signatures: [] }, keys.signers));
}

describe('the rotation of the log key', () => {
  it('has both keys sign for a while, so that who knows either believes a checkpoint', async () => {
    const note = await checkpointBy(parseLogKeys(both));
    for (const known of [first, second, both])
      expect(openCheckpoint(note, parseLogKeys(known).policy(ORGANIZATION)).checkpoint.size).toBe(0);
  });

  it('ends with the new key alone, under the same name', async () => {
    const note = await checkpointBy(parseLogKeys(second));
    expect(() => openCheckpoint(note, parseLogKeys(first).policy(ORGANIZATION))).toThrow('None of the log’s keys');
    expect(parseLogKeys(second).origin(ORGANIZATION)).toBe(parseLogKeys(first).origin(ORGANIZATION));
    expect(second).toBe(`${both.split('\n')[1]}\n`);
  });

  it('is not begun twice, nor finished where it was not begun', () => {
    expect(() => rotateLogKeys(both, 'begin', seed(3))).toThrow('There are two keys already');
    expect(() => rotateLogKeys(first, 'finish', seed(3))).toThrow('There is one key');
  });

  it('refuses what is no key', () => {
    expect(() => rotateLogKeys('nothing', 'begin', seed(2))).toThrow();
  });
});

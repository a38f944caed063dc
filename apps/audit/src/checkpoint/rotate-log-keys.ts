import { ED25519_NOTE, MerkleError, parseSignerKey, writeSignerKey } from '@kms/merkle';
import { parseLogKeys } from './log-keys.ts';

/** `begin` puts a new key beside the old one, so that both sign; `finish` takes the old one away. */
export type RotationStep = 'begin' | 'finish';

/**
 * The log keys (signer keys, one a line, as {@link parseLogKeys} reads them) after a step of their rotation. `seed` is the new key's 32
 * random bytes, which `finish` makes nothing of. Throws a {@link MerkleError}: `format` for keys that are none, `invalid-argument` where a
 * rotation is under way already, or none is.
 */
export function rotateLogKeys(text: string, step: RotationStep, seed: Uint8Array): string {
  const lines = text.trim().split('\n');
  const { signers } = parseLogKeys(text);
  if (step === 'begin' && signers.length > 1)
    throw new MerkleError('invalid-argument', 'There are two keys already: a rotation is under way, and is to be finished first.');
  if (step === 'finish' && signers.length < 2) throw new MerkleError('invalid-argument', 'There is one key: no rotation is under way.');
  if (step === 'finish') return `${lines[1]}\n`;
  const { name } = parseSignerKey(lines[0] as string);
  return `${lines[0]}\n${writeSignerKey({ name, type: ED25519_NOTE.type, seed })}\n`;
}

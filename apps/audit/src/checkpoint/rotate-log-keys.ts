import { ED25519_NOTE, MerkleError, type SignerKey } from '@kms/merkle';

/** `begin` puts a new key beside the old one, so that both sign; `finish` takes the old one away. */
export type RotationStep = 'begin' | 'finish';

/**
 * The log keys after a step of their rotation. `seed` is the new key's 32 random bytes, which `finish` makes nothing of. Throws an
 * `invalid-argument` {@link MerkleError} where a rotation is under way already, or none is.
 */
export function rotateLogKeys(keys: readonly SignerKey[], step: RotationStep, seed: Uint8Array): SignerKey[] {
  const [first, second] = keys as [SignerKey, SignerKey?];
  if (step === 'begin' && second !== undefined)
    throw new MerkleError('invalid-argument', 'There are two keys already: a rotation is under way, and is to be finished first.');
  if (step === 'begin') return [first, { name: first.name, type: ED25519_NOTE.type, seed }];
  if (second === undefined) throw new MerkleError('invalid-argument', 'There is one key: no rotation is under way.');
  return [second];
}

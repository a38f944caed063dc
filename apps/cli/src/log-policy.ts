import {
  COSIGNATURE_V1,
  ED25519_NOTE,
  MerkleError,
  noteVerifier,
  parseVerifierKey,
  type NoteVerifier,
  type CheckpointPolicy,
  type SignatureType,
} from '@kms/merkle';
import { UsageError } from './command.ts';

/** Whose checkpoints are believed: by organization. */
export type PolicyOf = (organizationId: string) => CheckpointPolicy;

/**
 * By what checkpoints are believed: `--key` and `--witness` as they were given. The log of an organization is the keys' name and the
 * organization's id; each of the witnesses must have cosigned. Undefined without keys. Throws {@link UsageError}.
 */
export function parsePolicy(keys: readonly string[], witnessKeys: readonly string[]): PolicyOf | undefined {
  if (keys.length === 0 && witnessKeys.length > 0) throw new UsageError('--witness needs the log’s own --key beside it.');
  const logKeys = keys.map((key) => parseKey('--key', key, ED25519_NOTE));
  const witnesses = witnessKeys.map((key) => parseKey('--witness', key, COSIGNATURE_V1));
  const [name] = logKeys.map((key) => key.name);
  if (name === undefined) return undefined;
  if (logKeys.some((key) => key.name !== name)) throw new UsageError('All --key must have the same name: they are keys of one deployment.');
  return (organizationId) => ({ origin: `${name}/${organizationId}`, logKeys, witnesses, quorum: witnesses.length });
}

function parseKey(option: string, text: string, type: SignatureType): NoteVerifier {
  try {
    return noteVerifier(parseVerifierKey(text), [type]);
  } catch (error) {
    if (error instanceof MerkleError) throw new UsageError(`${option} is no public key of the kind it takes: ${error.message}`);
    throw error;
  }
}

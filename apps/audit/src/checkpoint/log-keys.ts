import {
  ED25519_NOTE,
  MerkleError,
  NODE_CRYPTOGRAPHY,
  noteSigner,
  noteVerifier,
  parseSignerKey,
  writeVerifierKey,
  type CheckpointPolicy,
  type NoteSigner,
  type SignerKey,
} from '@kms/merkle';

/** The keys that this deployment's logs are signed with: one for all organizations, two while one takes the other's place. */
export interface LogKeys {
  readonly signers: readonly NoteSigner[];
  /** The public keys as they are written (C2SP signed-note). */
  readonly verifierKeys: readonly string[];
  /** The log that an organization's records are in: the keys' name and the organization. */
  origin(organizationId: string): string;
  /** By what a checkpoint of an organization's log is believed. */
  policy(organizationId: string): CheckpointPolicy;
}

const MAX_KEYS = 2;

/** Reads signer keys (C2SP signed-note), one a line. Throws a {@link MerkleError}, which quotes nothing of them. */
export function parseSignerKeys(text: string): SignerKey[] {
  const lines = text.trim().split('\n');
  return lines.map((line) => parseSignerKey(line));
}

/** What signs with one or two Ed25519 keys of one name, `<deployment>/audit`. Throws a `format` {@link MerkleError} for others. */
export function logKeysOf(keys: readonly SignerKey[]): LogKeys {
  const [name = ''] = keys.map((key) => key.name);
  if (keys.length > MAX_KEYS || keys.some((key) => key.name !== name || key.type !== ED25519_NOTE.type))
    throw new MerkleError('format', 'The log keys must be one or two Ed25519 keys of the same name.');
  const pairs = keys.map(({ seed }) => NODE_CRYPTOGRAPHY.ed25519.signingKey(seed));
  const publicKeys = pairs.map(({ publicKey }) => ({ name, type: ED25519_NOTE.type, publicKey }));
  const logKeys = publicKeys.map((key) => noteVerifier(key, [ED25519_NOTE]));
  const origin = (organizationId: string) => `${name}/${organizationId}`;
  return {
    signers: pairs.map((pair) => noteSigner(name, pair)),
    verifierKeys: publicKeys.map((key) => writeVerifierKey(key)),
    origin,
    policy: (organizationId) => ({ origin: origin(organizationId), logKeys }),
  };
}

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
} from '@kms/merkle';
import { z } from 'zod';

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

/** Reads one or two signer keys (C2SP signed-note, one a line) of one name, `<deployment>/audit`. Throws {@link MerkleError}. */
export function parseLogKeys(text: string): LogKeys {
  const keys = text
    .trim()
    .split('\n')
    .map((line) => parseSignerKey(line));
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

/** `LOG_KEY`: what {@link parseLogKeys} reads. */
export const LogKey = z.string().transform((text, context) => {
  try {
    return parseLogKeys(text);
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
    context.addIssue({ code: 'custom', message: error.message.replace(/\.$/, '') });
    return z.NEVER;
  }
});

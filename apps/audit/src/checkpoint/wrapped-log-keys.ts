import { EnvelopeError, WRAPPED_KEY_BYTES, wrappingKeyIdOf, zeroize, type RootKeyProvider } from '@kms/envelope';
import { ED25519_NOTE, MerkleError, parseVerifierKey, type SignerKey } from '@kms/merkle';
import { StartupError } from '@kms/platform';
import { logKeysOf, parseSignerKeys, type LogKeys } from './log-keys.ts';

/*
 * The log keys at rest, a line each:
 *
 *   kms-log-key/1 <public key, C2SP signed-note> <base64 of the seed, wrapped: 108 bytes in format "dkw1">
 *
 * Each wrap is bound to all public keys of the file and to its own place among them, so that no line can be changed, exchanged, left out or
 * brought in from elsewhere. The public keys stand open, for people and for what is told to witnesses.
 */
const FORMAT = 'kms-log-key/1';
const LINE = /^kms-log-key\/1 (\S+) ([A-Za-z0-9+/]+={0,2})$/;

/** Whether a text claims to be log keys as {@link wrapLogKeys} writes them. */
export const isWrapped = (text: string) => text.startsWith('kms-log-key/');

/** Writes log keys as they are stored. Rejects with a `format` MerkleError for what cannot sign together, or with what the provider does. */
export async function wrapLogKeys(keys: readonly SignerKey[], provider: RootKeyProvider): Promise<string> {
  const { verifierKeys: publicKeys } = logKeysOf(keys);
  const lines = keys.map(async ({ seed }, index) => {
    const wrapped = await provider.wrap(seed, { purpose: 'log-key', publicKeys, place: index + 1 });
    return `${FORMAT} ${publicKeys[index]} ${wrapped.toString('base64')}\n`;
  });
  return (await Promise.all(lines)).join('');
}

/**
 * The log keys that {@link wrapLogKeys} wrote, their seeds to be zeroized. Rejects with a {@link StartupError}: another key wraps them, or the
 * text is damaged; or with what a provider outside of this process rejects with.
 */
export async function unwrapLogKeys(text: string, provider: RootKeyProvider): Promise<SignerKey[]> {
  const lines = text.trim().split('\n').map(parseLine);
  const publicKeys = lines.map(({ publicKey }) => publicKey);
  const keys: SignerKey[] = [];
  for (const [index, { publicKey, wrapped }] of lines.entries()) {
    const { name, type } = verifierKeyOf(publicKey);
    try {
      const seed = await provider.unwrap(wrapped, { purpose: 'log-key', publicKeys, place: index + 1 });
      keys.push({ name, type, seed });
    } catch (error) {
      throw sentenceOf(error, provider.keyId, wrapped);
    }
  }
  return keys;
}

/** Log keys, wrapped or as a version before wrapped ones kept them. Rejects as {@link unwrapLogKeys}. */
export async function readLogKeys(text: string, provider: RootKeyProvider): Promise<SignerKey[]> {
  if (isWrapped(text)) return unwrapLogKeys(text, provider);
  try {
    return parseSignerKeys(text);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new StartupError('The log key is damaged, or is none: it is neither wrapped nor a signer key.', { cause });
  }
}

/** What signs with log keys, whose seeds are gone from this process's heap afterwards. Throws {@link StartupError} for keys of two names. */
export function signWith(keys: readonly SignerKey[]): LogKeys {
  try {
    return logKeysOf(keys);
  } catch (cause) {
    if (cause instanceof MerkleError) throw new StartupError(cause.message, { cause });
    throw cause;
  } finally {
    for (const { seed } of keys) zeroize(seed);
  }
}

const DAMAGED = 'The log key is damaged: it was cut short or changed. Put it back from where it is kept beside the backups.';

function parseLine(line: string): { publicKey: string; wrapped: Buffer } {
  const [, publicKey, base64 = ''] = LINE.exec(line) ?? [];
  const wrapped = Buffer.from(base64, 'base64');
  // The decoder skips what it does not know: only what it would write again is taken.
  if (publicKey === undefined || wrapped.length !== WRAPPED_KEY_BYTES || wrapped.toString('base64') !== base64)
    throw new StartupError(DAMAGED);
  return { publicKey, wrapped };
}

function verifierKeyOf(publicKey: string): { name: string; type: number } {
  try {
    const key = parseVerifierKey(publicKey);
    if (key.type === ED25519_NOTE.type) return key;
  } catch (cause) {
    throw new StartupError(DAMAGED, { cause });
  }
  throw new StartupError(DAMAGED);
}

function sentenceOf(error: unknown, keyId: string, wrapped: Buffer): unknown {
  if (!(error instanceof EnvelopeError)) return error;
  if (error.code !== 'wrong-key-id') return new StartupError(DAMAGED, { cause: error });
  return new StartupError(
    `LOG_WRAPPING_KEY is not the key that the log key is wrapped under: its id is ${keyId}, the log key's is ${wrappingKeyIdOf(wrapped)}.`,
    { cause: error },
  );
}

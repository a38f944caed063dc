import { readFile } from 'node:fs/promises';
import {
  COSIGNATURE_V1,
  ED25519_NOTE,
  MerkleError,
  noteVerifier,
  parseCheckpoint,
  parseNote,
  parseVerifierKey,
  type NoteVerifier,
  type SignatureType,
} from '@kms/merkle';
import { CannotRunError } from './command.ts';

/*
 * What the auditor holds aside: keys and older checkpoints. A mistake here says nothing of the evidence.
 */

/** The options that say whom the auditor believes, the same for every command. */
export const TRUST_OPTIONS = {
  key: { type: 'string', multiple: true },
  origin: { type: 'string' },
  checkpoint: { type: 'string', multiple: true },
  witness: { type: 'string', multiple: true },
  quorum: { type: 'string' },
} as const;

export const TRUST_HELP = `  --key <key or file>         the log's public key, or a file with one a line; may be given again
  --origin <origin>           which log it must be: <deployment>/audit/<organization id>
  --checkpoint <file>         a checkpoint that you kept, which the log must extend; may be given again
  --witness <key or file>     a witness's public key; may be given again
  --quorum <number>           how many of the witnesses must have cosigned; all by default
`;

export interface Trust {
  readonly logKeys?: readonly NoteVerifier[];
  readonly origin?: string;
  readonly known: readonly Uint8Array[];
  readonly witnesses: readonly NoteVerifier[];
  readonly quorum: number;
}

interface TrustValues {
  readonly key?: string[] | undefined;
  readonly origin?: string | undefined;
  readonly checkpoint?: string[] | undefined;
  readonly witness?: string[] | undefined;
  readonly quorum?: string | undefined;
}

/** Reads what {@link TRUST_OPTIONS} name. Throws {@link CannotRunError}. */
export async function readTrust({ key, origin, checkpoint = [], witness = [], quorum }: TrustValues): Promise<Trust> {
  const witnesses = await readKeys(witness, '--witness', COSIGNATURE_V1);
  return {
    ...(key !== undefined && { logKeys: await readKeys(key, '--key', ED25519_NOTE) }),
    ...(origin !== undefined && { origin }),
    known: await Promise.all(checkpoint.map(readCheckpoint)),
    witnesses,
    quorum: quorum === undefined ? witnesses.length : parseCount('--quorum', quorum, witnesses.length),
  };
}

/** A number from 0 to `most`, in decimal. Throws {@link CannotRunError}. */
export function parseCount(option: string, text: string, most = Number.MAX_SAFE_INTEGER): number {
  const count = /^(?:0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : -1;
  if (count < 0 || count > most) throw new CannotRunError(`${option} must be a number from 0 to ${most}.`);
  return count;
}

async function readKeys(given: readonly string[], option: string, type: SignatureType): Promise<NoteVerifier[]> {
  const texts = await Promise.all(given.map(async (text) => (isKey(text) ? text : await readText(text, option))));
  const lines = texts.flatMap((text) => text.split('\n')).filter((line) => line.trim() !== '');
  if (given.length > 0 && lines.length === 0) throw new CannotRunError(`The file of ${option} holds no key.`);
  try {
    return [...new Set(lines)].map((line) => noteVerifier(parseVerifierKey(line.replace(/\r$/, '')), [type]));
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new CannotRunError(`${option} is no public key of that kind: ${cause.message}`, { cause });
  }
}

/** A key is told from a file's name by its shape: a name, 8 hexadecimal digits, base64. */
const isKey = (text: string) => /^[^+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+$/.test(text);

async function readCheckpoint(path: string): Promise<Uint8Array> {
  const bytes = await readBytes(path, '--checkpoint');
  try {
    parseCheckpoint(parseNote(bytes).text);
    return bytes;
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new CannotRunError(`The file of --checkpoint is no signed checkpoint: ${cause.message}`, { cause });
  }
}

/** A file's text. Throws {@link CannotRunError}. */
export async function readText(path: string, option: string): Promise<string> {
  return (await readBytes(path, option)).toString('utf8');
}

async function readBytes(path: string, option: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new CannotRunError(`The file of ${option} could not be read (${(cause as NodeJS.ErrnoException).code ?? 'unknown'}): ${path}`, {
      cause,
    });
  }
}

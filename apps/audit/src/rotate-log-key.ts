import { randomBytes } from 'node:crypto';
import type { RootKeyProvider } from '@kms/envelope';
import { MerkleError } from '@kms/merkle';
import { loadConfiguration, StartupError } from '@kms/platform';
import { z } from 'zod';
import { replaceLogKeys } from './checkpoint/log-key-file.ts';
import { rotateLogKeys } from './checkpoint/rotate-log-keys.ts';
import { readLogKeys, signWith, unwrapLogKeys, wrapLogKeys } from './checkpoint/wrapped-log-keys.ts';
import { WrappingKey } from './checkpoint/wrapping-key.ts';

const USAGE = 'Usage: LOG_KEY_PATH=<file> LOG_WRAPPING_KEY_FILE=<file> node apps/audit/dist/rotate-log-key.js begin|finish|wrap';

const RotationConfiguration = z.object({
  LOG_KEY_PATH: z.string(),
  LOG_WRAPPING_KEY: WrappingKey,
  /** With `wrap`: the key that wraps the log key from now on, where it is another one. */
  LOG_NEW_WRAPPING_KEY: WrappingKey.optional(),
});

type Step = 'begin' | 'finish' | 'wrap';

/**
 * One step of the log key's rotation, in its file, which is replaced whole or not at all; `wrap` leaves the key as it is and wraps it anew.
 * Prints the public keys that sign from the next start of the audit service on. Exit code 0, or one sentence and exit code 1.
 */
async function rotate(): Promise<void> {
  const [step, ...rest] = process.argv.slice(2);
  if (rest.length > 0 || !isStep(step)) throw new StartupError(USAGE);
  const {
    LOG_KEY_PATH: file,
    LOG_WRAPPING_KEY: former,
    LOG_NEW_WRAPPING_KEY: next,
  } = loadConfiguration(RotationConfiguration, process.env);
  if (step !== 'wrap' && next !== undefined) throw new StartupError('LOG_NEW_WRAPPING_KEY is for the step wrap only.');
  const wrapping = next ?? former;
  const text = await replaceLogKeys(file, (before) => change(before, step, former, wrapping));
  process.stdout.write(`${signWith(await unwrapLogKeys(text, wrapping)).verifierKeys.join('\n')}\n`);
}

async function change(text: string, step: Step, former: RootKeyProvider, wrapping: RootKeyProvider): Promise<string> {
  const keys = await readLogKeys(text, former);
  return wrapLogKeys(step === 'wrap' ? keys : rotateLogKeys(keys, step, randomBytes(32)), wrapping);
}

const isStep = (text: string | undefined): text is Step => text === 'begin' || text === 'finish' || text === 'wrap';

try {
  await rotate();
} catch (error) {
  const isForPeople = error instanceof StartupError || error instanceof MerkleError;
  process.stderr.write(`audit: ${isForPeople ? error.message : `the log key could not be rotated: ${String(error)}`}\n`);
  process.exitCode = 1;
}

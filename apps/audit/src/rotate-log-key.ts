import { randomBytes } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MerkleError } from '@kms/merkle';
import { loadConfiguration, StartupError, syncFolder } from '@kms/platform';
import { z } from 'zod';
import { parseLogKeys } from './checkpoint/log-keys.ts';
import { rotateLogKeys } from './checkpoint/rotate-log-keys.ts';

const USAGE = 'Usage: LOG_KEY_PATH=<file> node apps/audit/dist/rotate-log-key.js begin|finish';

/**
 * One step of the log key's rotation, in its file, which is replaced whole or not at all; prints the public keys that sign from the next start of the
 * audit service on. Exit code 0, or one sentence and exit code 1.
 */
async function rotate(): Promise<void> {
  const [step, ...rest] = process.argv.slice(2);
  if (rest.length > 0 || (step !== 'begin' && step !== 'finish')) throw new StartupError(USAGE);
  const { LOG_KEY_PATH: file } = loadConfiguration(z.object({ LOG_KEY_PATH: z.string() }), process.env);
  const rotated = rotateLogKeys(await readKeys(file), step, randomBytes(32));
  // Of two rotations at once the second finds this file, and changes nothing.
  await writeFile(`${file}.new`, rotated, { mode: 0o600, flag: 'wx', flush: true });
  await rename(`${file}.new`, file);
  await syncFolder(dirname(file));
  process.stdout.write(`${parseLogKeys(rotated).verifierKeys.join('\n')}\n`);
}

async function readKeys(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new StartupError(`The log key ${file} cannot be read: ${(cause as NodeJS.ErrnoException).code}.`, { cause });
  }
}

try {
  await rotate();
} catch (error) {
  const isForPeople = error instanceof StartupError || error instanceof MerkleError;
  process.stderr.write(`audit: ${isForPeople ? error.message : `the log key could not be rotated: ${String(error)}`}\n`);
  process.exitCode = 1;
}

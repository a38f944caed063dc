import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { ED25519_NOTE } from '@kms/merkle';
import { loadConfiguration, StartupError } from '@kms/platform';
import { z } from 'zod';
import { signWith, wrapLogKeys } from './checkpoint/wrapped-log-keys.ts';
import { WrappingKey } from './checkpoint/wrapping-key.ts';

const LogKeyConfiguration = z.object({
  LOG_KEY_PATH: z.string(),
  LOG_WRAPPING_KEY: WrappingKey,
  /** What the deployment is called in the names of its logs: a domain name of its operator's, by custom. */
  DEPLOYMENT: z
    .string()
    .default('localhost')
    .refine((name) => /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/.test(name), 'it must be a domain name in lower case'),
});

/** Makes a log key, wrapped, in a file (0600) that must not be there yet, and prints its public key: exit code 0, or one sentence and exit code 1. */
try {
  const { LOG_KEY_PATH: file, LOG_WRAPPING_KEY: provider, DEPLOYMENT: deployment } = loadConfiguration(LogKeyConfiguration, process.env);
  const key = { name: `${deployment}/audit`, type: ED25519_NOTE.type, seed: randomBytes(32) };
  await writeFile(file, await wrapLogKeys([key], provider), { mode: 0o600, flag: 'wx', flush: true });
  process.stdout.write(`${signWith([key]).verifierKeys[0]}\n`);
} catch (error) {
  process.stderr.write(`audit: ${error instanceof StartupError ? error.message : `the log key could not be made: ${String(error)}`}\n`);
  process.exitCode = 1;
}

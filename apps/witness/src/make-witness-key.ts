import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { COSIGNATURE_V1, NODE_CRYPTOGRAPHY, writeSignerKey, writeVerifierKey } from '@kms/merkle';
import { loadConfiguration, StartupError } from '@kms/platform';
import { z } from 'zod';

const KeyConfiguration = z.object({
  WITNESS_KEY_PATH: z.string(),
  /** What the witness is called in its cosignatures: a domain name of its operator's, by custom with a path behind it. */
  WITNESS_NAME: z
    .string()
    .refine(
      (name) => /^[a-z0-9](?:[a-z0-9./-]{0,251}[a-z0-9])?$/.test(name),
      'it must be a domain name in lower case, and may have a path',
    ),
});

/** Makes a witness's key in a file (0600) that must not be there yet, and prints its public key: exit code 0, or one sentence and exit code 1. */
try {
  const { WITNESS_KEY_PATH: file, WITNESS_NAME: name } = loadConfiguration(KeyConfiguration, process.env);
  const [seed, type] = [randomBytes(32), COSIGNATURE_V1.type];
  await writeFile(file, `${writeSignerKey({ name, type, seed })}\n`, { mode: 0o600, flag: 'wx', flush: true });
  const { publicKey } = NODE_CRYPTOGRAPHY.ed25519.signingKey(seed);
  process.stdout.write(`${writeVerifierKey({ name, type, publicKey })}\n`);
} catch (error) {
  process.stderr.write(`witness: ${error instanceof StartupError ? error.message : `the key could not be made: ${String(error)}`}\n`);
  process.exitCode = 1;
}

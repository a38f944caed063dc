import { COSIGNATURE_V1, MerkleError, parseSignerKey, type SignerKey } from '@kms/merkle';
import { MONITOR_VARIABLES, parsedBy, Port } from '@kms/platform';
import { z } from 'zod';
import { parseWitnessedLogs } from './witnessed-logs.ts';

/** The witness's environment. */
export const WitnessConfiguration = z.object({
  ...MONITOR_VARIABLES,
  HTTP_HOST: z.string().default('127.0.0.1'),
  PORT: Port,
  /** What checkpoints are cosigned with, best from a file: `WITNESS_KEY_FILE`. */
  WITNESS_KEY: parsedBy((text) => requireCosigner(parseSignerKey(text.trim())), explain),
  /** The logs, one a line, best from a file: `WITNESS_LOGS_FILE`. */
  WITNESS_LOGS: parsedBy(parseWitnessedLogs, explain),
  /** Where the last checkpoint of each log is kept: losing it, or going back to an earlier one, undoes what a witness is for. */
  WITNESS_STATE_DIRECTORY: z.string(),
});

function explain(error: unknown): string | null {
  return error instanceof MerkleError ? error.message.replace(/\.$/, '') : null;
}

function requireCosigner(key: SignerKey): SignerKey {
  if (key.type !== COSIGNATURE_V1.type)
    throw new MerkleError('unknown-key-type', 'The key must be one that cosigns: make-witness-key makes one.');
  return key;
}

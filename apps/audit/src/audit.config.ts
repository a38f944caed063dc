import { Id } from '@kms/contracts';
import { DatabaseUrl, MONITOR_VARIABLES, Port, SharedSecret, StartupError } from '@kms/platform';
import { z } from 'zod';
import { WitnessClient } from './checkpoint/witness-client.ts';
import { NO_WITNESSES, WitnessList, Witnesses } from './checkpoint/witnesses.ts';
import { WrappingKey } from './checkpoint/wrapping-key.ts';

/** The audit service's environment. */
export const AuditConfiguration = z.object({
  DATABASE_URL: DatabaseUrl,
  RPC_HOST: z.string().default('127.0.0.1'),
  RPC_PORT: Port,
  RPC_SECRET: SharedSecret,
  OPERATOR_ORGANIZATION_ID: Id,
  /** What checkpoints are signed with, wrapped, best from a file: `LOG_KEY_FILE`. */
  LOG_KEY: z.string(),
  /** What it is wrapped by. */
  LOG_WRAPPING_KEY: WrappingKey,
  /** Where the last checkpoint of each log is kept: a folder that is not restored together with the database. */
  LOG_STATE_DIRECTORY: z.string(),
  /** Who cosigns checkpoints before they are published; nobody by default. */
  WITNESSES: WitnessList.optional(),
  /** How many of the witnesses must have cosigned; all of them by default. */
  WITNESS_QUORUM: z
    .string()
    .regex(/^[1-9][0-9]?$/, 'it must be a number from 1 to 99')
    .transform(Number)
    .optional(),
  ...MONITOR_VARIABLES,
});
export type AuditConfiguration = z.infer<typeof AuditConfiguration>;

/** The witnesses that the environment names. Throws StartupError where they cannot make the quorum, or one of them is named twice. */
export function witnessesOf({
  WITNESSES: list,
  WITNESS_QUORUM: quorum,
}: Pick<AuditConfiguration, 'WITNESSES' | 'WITNESS_QUORUM'>): Witnesses {
  if (list === undefined && quorum === undefined) return NO_WITNESSES;
  const keys = (list ?? []).map(({ key }) => key);
  if (new Set(keys).size < keys.length) throw new StartupError('WITNESSES names a witness twice.');
  if ((quorum ?? 1) > keys.length) throw new StartupError('WITNESS_QUORUM is above the number of WITNESSES.');
  return new Witnesses(
    (list ?? []).map((settings) => new WitnessClient(settings)),
    quorum ?? keys.length,
    keys,
  );
}

import { AUDIT_TOPIC } from '@kms/contracts';
import { createLogger, DatabaseUrl, loadConfiguration, StartupError } from '@kms/platform';
import { z } from 'zod';
import { CannotRunError, EXIT, parseArguments, type Command, type Context, type ExitCode } from '../command.ts';
import { parseGrace } from '../follow/follow-arguments.ts';
import { connectionTo } from '../kafka/connection-to.ts';
import { TopicReader } from '../kafka/topic-reader.ts';
import { parsePolicy } from '../log-policy.ts';
import { BadEvidence } from './bad-evidence.ts';
import { checkSystem, type SystemSettings } from './check-system.ts';

const HELP = `
kms-audit fsck [options]

Compares what a running system holds in its three places: the journals of gateway and vault, the topic ${AUDIT_TOPIC}, and the ledger.
Every event that was committed before the look is in the ledger, once and with the same bytes; the ledger holds nothing else but parked
messages; each writer's numbers and chain, and each organization's tree, heads and checkpoints are those of the bytes; and what is
still on the topic was committed, or is parked. It reads only, in bounded memory, and says the first thing that is wrong.

  DATABASE_URL_GATEWAY, DATABASE_URL_VAULT, DATABASE_URL_AUDIT   (or …_FILE) the databases, by any role that can SELECT
  KAFKA_BROKERS and the other KAFKA_ variables of the services   where the topic is
  --brokers <list>     in the place of KAFKA_BROKERS
  --no-topic           leaves the topic out
  --grace <seconds>    how long what was committed may be under way to the ledger: 60
  --key <public key>   the log's public key: checks the checkpoints' signatures too; more than once while keys are changed

Exit codes: 0 all is good, 1 something is wrong, 2 the call is wrong or something cannot be read.
`;

const Databases = z.object({ DATABASE_URL_GATEWAY: DatabaseUrl, DATABASE_URL_VAULT: DatabaseUrl, DATABASE_URL_AUDIT: DatabaseUrl });

const OPTIONS = {
  brokers: { type: 'string' },
  'no-topic': { type: 'boolean', default: false },
  grace: { type: 'string', default: '60' },
  key: { type: 'string', multiple: true },
} as const;

/** `kms-audit fsck`. */
export const fsck: Command = {
  help: HELP.trimStart(),
  async run(args, context) {
    const settings = parseSettings(args, context);
    try {
      context.print(`ok: ${await checkSystem(settings, context.signal)}`);
      return EXIT.ok;
    } catch (error) {
      return answer(error, context);
    } finally {
      await settings.topic?.stop();
    }
  },
};

function parseSettings(args: readonly string[], { environment }: Context): SystemSettings {
  const { values } = parseArguments({ args: [...args], options: OPTIONS, strict: true });
  const graceMs = parseGrace(values.grace);
  const policyOf = parsePolicy(values.key ?? [], []);
  try {
    const urls = loadConfiguration(Databases, environment);
    const connection = values['no-topic'] ? null : connectionTo(values.brokers, environment);
    const logger = createLogger('kms-audit');
    logger.level = environment['LOG_LEVEL'] || 'silent';
    return {
      journals: [urls.DATABASE_URL_GATEWAY, urls.DATABASE_URL_VAULT],
      ledger: urls.DATABASE_URL_AUDIT,
      graceMs,
      policyOf,
      topic: connection === null ? null : new TopicReader({ connection, topic: AUDIT_TOPIC, logger }),
    };
  } catch (error) {
    if (error instanceof StartupError) throw new CannotRunError(error.message);
    throw error;
  }
}

function answer(error: unknown, { print }: Context): ExitCode {
  if (error instanceof BadEvidence) {
    print(`bad: ${error.message}`);
    return EXIT.bad;
  }
  if (error instanceof StartupError) throw new CannotRunError(error.message);
  const { code, message, routine } = error as Error & { code?: string; routine?: string };
  // What a PostgreSQL server refuses has the name of its routine: a table that is not there, a role that may not read.
  if (routine !== undefined) throw new CannotRunError(`A database cannot be read: ${message} (${code}).`);
  throw error;
}

import { parseArgs } from 'node:util';
import { canInstallKafka } from '@kms/apache-kafka';
import { StartupError } from '@kms/platform';
import { chooseGenerator, type Generator } from './generator.ts';
import { FULL, QUICK, SECTION_NAMES, type Plan } from './plan.ts';

export const HELP = `Measures a suite of its own: how fast it is, what it costs, and where the time goes.

  npm run bench -- [--quick] [--out <file>] [--against <file>] [--broker stand-in|apache] [--generator wrk|autocannon] [--instances 1|2]
                   [--profile <an empty folder>] [--only <section>]... [--seconds <n>]

--quick           ends within a minute: reveals at each number of connections, and the lag of the ledger.
--out <file>      writes the figures as JSON.
--against <file>  prints the ratios to an earlier run's file: of the same machine, and best of the same hour.
--broker          without it Apache Kafka where Java 17 and Maven are, else the stand-in.
--generator       without it wrk where it is on the PATH, else autocannon.
--instances 2     two gateways, two vaults, and with Apache Kafka two audit services and three brokers.
--only            of these: ${SECTION_NAMES.join(', ')}.
                  Without it all of them, which takes 15 to 20 minutes.
--seconds         how long each load lasts: 10, or 4 with --quick.
--profile         afterwards profiles the services under 64 connections: .cpuprofile files and flame graphs as pages.

The figures are Markdown on standard output, the progress is on standard error. Ctrl-C ends everything and leaves nothing behind.
`;

export interface Settings {
  out: string | undefined;
  against: string | undefined;
  broker: 'stand-in' | 'apache';
  generator: Generator;
  instances: number;
  profile: string | undefined;
  plan: Plan;
}

/** What the command line asks for, or null where it asks for help. Throws StartupError. */
export async function readSettings(parameters: readonly string[]): Promise<Settings | null> {
  const { quick, out, against, broker, generator, instances, profile, only, seconds, help } = parse(parameters);
  if (help) return null;
  return {
    out,
    against,
    broker: oneOf('broker', broker, ['stand-in', 'apache']) ?? ((await canInstallKafka()) ? 'apache' : 'stand-in'),
    generator: chooseGenerator(oneOf('generator', generator, ['wrk', 'autocannon'])),
    instances: Number(oneOf('instances', instances, ['1', '2']) ?? 1),
    profile,
    plan: { ...planOf(quick, only), ...secondsOf(seconds) },
  };
}

function parse(parameters: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  try {
    return parseArgs({
      args: [...parameters],
      options: {
        quick: flag,
        out: text,
        against: text,
        broker: text,
        generator: text,
        instances: text,
        profile: text,
        only: { type: 'string', multiple: true },
        seconds: text,
        help: flag,
      },
    }).values;
  } catch (error) {
    throw new StartupError(`${(error as Error).message}\n\n${HELP}`, { cause: error });
  }
}

function planOf(isQuick: boolean, only: readonly string[] | undefined): Plan {
  const plan = isQuick ? QUICK : FULL;
  if (only === undefined) return plan;
  if (isQuick) throw new StartupError('--quick has its sections already: --only does not go with it.');
  return { ...plan, sections: only.flatMap((name) => oneOf('only', name, SECTION_NAMES) ?? []) };
}

function secondsOf(given: string | undefined): Partial<Plan> {
  if (given === undefined) return {};
  if (!/^[1-9][0-9]{0,2}$/.test(given)) throw new StartupError('--seconds must be a whole number from 1 to 999.');
  return { seconds: Number(given) };
}

function oneOf<Choice extends string>(name: string, given: string | undefined, choices: readonly Choice[]): Choice | undefined {
  if (given === undefined) return undefined;
  const choice = choices.find((one) => one === given);
  if (choice === undefined) throw new StartupError(`--${name} must be one of ${choices.join(', ')}.`);
  return choice;
}

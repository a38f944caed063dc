import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { StartupError } from '@kms/platform';
import { runChaos, type ChaosResult, type ChaosSettings } from './run.ts';

const HELP = `Strikes a suite of its own with faults under load, and checks that no record is lost, doubled or changed.

  npm run chaos -- [--minutes 5 | --counts | --strikes <n>] [--seed 7] [--brokers stand-in|1|3] [--instances 2] [--rate 200]
                   [--only <name or part of one>]... [--keep]

--minutes n  faults in random order; each strikes at least once.
--counts     one fault after the other, each as often as its own count says: hours for all of them, so choose some with --only.
--strikes n  as --counts, with n strikes of each.
--brokers 1 and 3 are Apache Kafka. The last line is ok, or the first violation, with exit code 1.
Ctrl-C lets the fault under way end, then checks what was done so far.
--keep leaves the folder with the logs and the client's record.
`;

type Settings = Omit<ChaosSettings, 'directory' | 'say' | 'signal'>;

function settings(): (Settings & { keep: boolean }) | null {
  const options = {
    minutes: { type: 'string' },
    counts: { type: 'boolean', default: false },
    strikes: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
    brokers: { type: 'string', default: 'stand-in' },
    instances: { type: 'string', default: '2' },
    rate: { type: 'string', default: '200' },
    only: { type: 'string', multiple: true },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  } as const;
  const { values } = parse(() => parseArgs({ options }));
  if (values.help) return null;
  const number = (name: 'minutes' | 'strikes' | 'seed' | 'instances' | 'rate', from: number, to: number, otherwise = '') => {
    const text = values[name] ?? otherwise;
    const value = Number(text);
    if (text !== '' && value >= from && value <= to) return value;
    throw new StartupError(`--${name} must be a number from ${from} to ${to}.`);
  };
  if ([values.minutes !== undefined, values.counts, values.strikes !== undefined].filter(Boolean).length > 1)
    throw new StartupError('--minutes, --counts and --strikes exclude one another: give one of them.');
  const plan = (): Settings['plan'] => {
    if (values.counts) return { kind: 'counts', each: null };
    if (values.strikes !== undefined) return { kind: 'counts', each: Math.trunc(number('strikes', 1, 100_000)) };
    return { kind: 'duration', durationMs: number('minutes', 0, 10_000, '5') * 60_000 };
  };
  if (!['stand-in', '1', '3'].includes(values.brokers)) throw new StartupError('--brokers must be stand-in, 1 or 3.');
  return {
    plan: plan(),
    seed: Math.trunc(number('seed', 0, 2 ** 32 - 1)),
    instances: Math.trunc(number('instances', 1, 8)),
    perSecond: number('rate', 1, 5_000),
    brokers: values.brokers === 'stand-in' ? 'stand-in' : (Number(values.brokers) as 1 | 3),
    ...(values.only && { only: values.only }),
    keep: values.keep,
  };
}

function parse<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new StartupError(`${(error as Error).message}\n\n${HELP}`, { cause: error });
  }
}

const seconds = (milliseconds: number) => (milliseconds / 1_000).toFixed(1);

function print({ strikes, refusals, slowestRefusalMs, counts, violations }: ChaosResult): void {
  console.log('\n| fault | strikes | longest lag s | longest recovery s |\n| --- | --- | --- | --- |');
  for (const [name, { count, longestLagMs, longestRecoveryMs }] of strikes)
    console.log(`| ${name} | ${count} | ${seconds(longestLagMs)} | ${seconds(longestRecoveryMs)} |`);
  const { done, denied, unavailable, unknown, wrong, events, undelivered, undeliveredUnknown } = counts;
  console.log(
    `\n${done} done, ${denied} denied, ${unavailable} unavailable, ${unknown} unknown, ${wrong} wrong; ${events} events committed.`,
  );
  console.log(
    `${undelivered} records without a delivery: ${undeliveredUnknown} of the ${unknown} unknown requests, ` +
      `${undelivered - undeliveredUnknown} of the ${unavailable} refused with 503.`,
  );
  for (const [sentence, count] of refusals) console.log(`${count} reveals were refused with "${sentence}".`);
  console.log(`The slowest of these took ${seconds(slowestRefusalMs)} s; ${violations.length} violations.`);
  console.log(violations[0] ?? 'ok');
}

async function main(): Promise<void> {
  const given = settings();
  if (given === null) return void process.stdout.write(HELP);
  const ending = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => {
      console.log('Ending after the fault under way.');
      ending.abort();
    });
  const directory = await mkdtemp(join(tmpdir(), 'kms-chaos-'));
  await chmod(directory, 0o755);
  console.log(`Seed ${given.seed}, ${given.instances} of each service, brokers: ${given.brokers}.`);
  const result = await runChaos({ ...given, directory, signal: ending.signal, say: (line) => console.log(line) }).finally(() =>
    given.keep ? console.log(`Logs and the client's record are in ${directory}.`) : rm(directory, { recursive: true, force: true }),
  );
  print(result);
  if (result.violations.length > 0) process.exitCode = 1;
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof StartupError ? error.message : String((error as Error).stack)}\n`);
  process.exitCode = 1;
});

import { DatabaseUrl, loadConfiguration, StartupError } from '@kms/platform';
import { createPool, withClient } from '@kms/postgres';
import type pg from 'pg';
import { z } from 'zod';
import { openEra, readEras, partitionOf, type Era } from './retire/eras.ts';
import { retireEra, RetirementError } from './retire/retire-era.ts';

const USAGE = 'Usage: OWNER_DATABASE_URL=<url> node apps/audit/dist/retire.js list | open | retire --before <day or time>';

/** What PostgreSQL refuses with, in one sentence for people. */
const REFUSALS: Readonly<Record<string, string>> = {
  '42P01': 'The database lacks migrations of this version: run them first.',
  '42501': 'OWNER_DATABASE_URL must be of the role that owns the ledger.',
  '55P03': 'The ledger is in use by a query that takes long, such as a backup or kms-audit fsck: nothing was changed, try again later.',
};

/** Lists, opens or retires eras of the ledger, by the owner's role: exit code 0, or one sentence and exit code 1. */
async function run([command, ...rest]: readonly string[]): Promise<void> {
  const [option, date, ...more] = rest;
  const isKnown = command === 'retire' ? option === '--before' && date !== undefined : command === 'list' || command === 'open';
  if (!isKnown || (command === 'retire' ? more : rest).length > 0) throw new StartupError(USAGE);
  const before = command === 'retire' ? parseTime(date as string) : null;
  const { OWNER_DATABASE_URL: url } = loadConfiguration(z.object({ OWNER_DATABASE_URL: DatabaseUrl }), process.env);
  await withClient(url, async (client) => {
    if (before !== null) return retireBefore(client, url, before);
    if (command === 'open') return say(`Era ${await openEra(client)} is open: what comes from now on is in it.`);
    for (const era of await readEras(client)) say(describe(era));
  });
}

/** A day's beginning, or a time, in UTC, which must not lie ahead. */
function parseTime(text: string): Date {
  const time = new Date(text.length === 10 ? `${text}T00:00:00Z` : text);
  const isTime = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{3})?Z)?$/.test(text) && !Number.isNaN(time.getTime());
  if (!isTime || !time.toISOString().startsWith(text.replace('Z', '')))
    throw new StartupError(`--before must be a day or a time in UTC, such as 2026-01-31 or 2026-01-31T12:00:00Z, and not ${text}.`);
  if (time.getTime() > Date.now()) throw new StartupError(`--before lies ahead: ${text}.`);
  return time;
}

/** Retires each era that had ended by then, the oldest first, until one cannot be. */
async function retireBefore(client: pg.ClientBase, url: string, before: Date): Promise<void> {
  const ended = (await readEras(client)).filter(({ endedAt, isRetired }) => !isRetired && endedAt !== null && endedAt <= before);
  if (ended.length === 0) say(`No era that is in the ledger had ended by ${before.toISOString()}: nothing was retired.`);
  const pool = createPool(url, () => undefined, 2);
  try {
    for (const { era } of ended) {
      const { retired, kept } = await retireEra(client, pool, era);
      say(
        `Era ${era} has left the ledger with ${retired} records; ${kept} went on into era ${era + 1}. ` +
          `Its table ${partitionOf(era)} is detached: drop it when it is not needed any more.`,
      );
    }
  } finally {
    await pool.end();
  }
}

function describe({ era, openedAt, endedAt, isRetired }: Era): string {
  const state = isRetired ? 'retired' : endedAt === null ? 'appended to' : 'in the ledger';
  return `era ${era}: from ${openedAt.toISOString()} to ${endedAt?.toISOString() ?? 'now'}, ${state}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

try {
  await run(process.argv.slice(2));
} catch (error) {
  const isForPeople = error instanceof StartupError || error instanceof RetirementError;
  const sentence = REFUSALS[(error as { code?: string }).code ?? ''];
  process.stderr.write(`audit: ${isForPeople ? error.message : (sentence ?? `the eras could not be worked on: ${String(error)}`)}\n`);
  process.exitCode = 1;
}

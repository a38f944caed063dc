import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { StartupError, syncFolder } from '@kms/platform';
import { exited } from './child.ts';
import type { PostgresAccount } from './postgres-account.ts';

/** What every PostgreSQL program gets from this process's environment: nothing that could change where it reads or writes. */
export const POSTGRES_ENVIRONMENT = { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' };

/**
 * Makes a PostgreSQL data folder at `directory` unless there is one. It is made beside its place and renamed, so that a folder with
 * this name is always a whole one, whatever ended an earlier attempt.
 */
export async function ensureDataFolder(directory: string, initdb: string, account: PostgresAccount, password: string): Promise<void> {
  await removeHalfDone(directory);
  if (existsSync(join(directory, 'PG_VERSION'))) return;
  const unfinished = `${directory}.new-${randomBytes(4).toString('hex')}`;
  try {
    await mkdir(unfinished, { mode: 0o700 });
    if (account.uid !== undefined && account.gid !== undefined) await chown(unfinished, account.uid, account.gid);
    await runInitdb(initdb, unfinished, account, password);
    await rename(unfinished, directory);
    await syncFolder(dirname(directory));
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

async function removeHalfDone(directory: string): Promise<void> {
  const parent = dirname(directory);
  const prefix = `${basename(directory)}.new-`;
  const leftovers = (await readdir(parent)).filter((name) => name.startsWith(prefix));
  await Promise.all(leftovers.map((name) => rm(join(parent, name), { recursive: true, force: true })));
}

async function runInitdb(initdb: string, directory: string, account: PostgresAccount, password: string): Promise<void> {
  const passwordFile = `${directory}.password`;
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600, flag: 'wx' });
  try {
    if (account.uid !== undefined && account.gid !== undefined) await chown(passwordFile, account.uid, account.gid);
    const options = ['--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--encoding=UTF8', '--locale=C'];
    const child = spawn(initdb, [`--pgdata=${directory}`, ...options], {
      ...account,
      env: POSTGRES_ENVIRONMENT,
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4096);
    });
    const { code } = await Promise.race([exited(child), failedToSpawn(child)]);
    if (code !== 0) throw new StartupError(`PostgreSQL could not make its folder ${directory}: ${lastSentence(said)}`);
  } finally {
    await rm(passwordFile, { force: true });
  }
}

/** Rejects when the program could not be started at all. */
export function failedToSpawn(child: NodeJS.EventEmitter): Promise<never> {
  return new Promise((_, reject) => child.once('error', reject));
}

/** The last error line of a PostgreSQL program, on one line and without its prefix. */
export function lastSentence(said: string): string {
  const lines = said.split('\n').filter((line) => line.trim() !== '');
  const fatal = lines.findLast((line) => /\b(?:FATAL|PANIC|error):/.test(line)) ?? lines.at(-1) ?? 'it said nothing.';
  return fatal.replace(/^.*?\b(?:FATAL|PANIC|error):\s*/, '').trim();
}

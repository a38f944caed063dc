import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { StartupError } from '@kms/platform';

const run = promisify(execFile);

/** The system account that PostgreSQL runs as; without numbers it is the account of this process. */
export interface PostgresAccount {
  uid?: number;
  gid?: number;
}

/**
 * PostgreSQL refuses to run as root. So where this process is root, the server runs as the system account `postgres`, which is made
 * when it is not there.
 */
export async function postgresAccount(): Promise<PostgresAccount> {
  if (process.getuid?.() !== 0) return {};
  const known = await lookUp();
  if (known) return known;
  try {
    await run('groupadd', ['--system', '--force', 'postgres']);
    await run('useradd', ['--system', '--gid', 'postgres', '--no-create-home', '--shell', '/usr/sbin/nologin', 'postgres']);
  } catch (cause) {
    throw new StartupError('PostgreSQL cannot run as root, and the account "postgres" could not be made: start as another user.', {
      cause,
    });
  }
  const made = await lookUp();
  if (!made) throw new StartupError('PostgreSQL cannot run as root, and there is no account "postgres": start as another user.');
  return made;
}

async function lookUp(): Promise<Required<PostgresAccount> | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', 'postgres']), run('id', ['-g', 'postgres'])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    return undefined;
  }
}

/**
 * Checks that the account may enter every folder above `path`, so that a mode like 0700 on one of them is told by its name instead of
 * an `EACCES` from a child process.
 */
export async function assertReachable(path: string, account: PostgresAccount): Promise<void> {
  if (account.uid === undefined) return;
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const { uid, gid, mode } = await stat(folder);
    const mayEnter = uid === account.uid ? mode & 0o100 : gid === account.gid ? mode & 0o010 : mode & 0o001;
    if (!mayEnter) throw new StartupError(`PostgreSQL runs as the user "postgres", which may not enter ${folder}: chmod o+x it.`);
    if (folder === dirname(folder)) return;
  }
}

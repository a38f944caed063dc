import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { StartupError } from '@kms/platform';

/** What is tried in turn to stop a server: fast shutdown, immediate shutdown, the end. Milliseconds that each is given. */
const STEPS: readonly (readonly [NodeJS.Signals, number])[] = [
  ['SIGINT', 5_000],
  ['SIGQUIT', 3_000],
  ['SIGKILL', 2_000],
];

/**
 * Stops a server that still runs on `directory` because the process that started it was killed. A process is signalled only when its
 * command line says that it is a postgres on this very folder: the number in a left-over `postmaster.pid` may be somebody else's by now.
 * The caller must hold whatever keeps two launchers from using one folder.
 */
export async function stopStalePostgres(directory: string): Promise<void> {
  const pidFile = join(directory, 'postmaster.pid');
  const pid = await readPid(pidFile);
  if (pid === undefined || !isAlive(pid)) return;
  if (!(await isPostgresOn(pid, directory))) {
    // PostgreSQL would take that other process for its own; it still guards the folder by its shared memory segment.
    await rm(pidFile, { force: true });
    return;
  }
  for (const [signal, timeoutMs] of STEPS) {
    sendSignal(pid, signal);
    if (await isGone(pid, timeoutMs)) return;
  }
  throw new StartupError(`A PostgreSQL (process ${pid}) still runs on ${directory} and cannot be stopped.`);
}

async function readPid(path: string): Promise<number | undefined> {
  try {
    const [first = ''] = (await readFile(path, 'utf8')).split('\n');
    return /^[1-9][0-9]{0,9}$/.test(first) ? Number(first) : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function isPostgresOn(pid: number, directory: string): Promise<boolean> {
  const command = await commandLine(pid);
  return /(?:^|\/)postgres(?:\.exe)?(?:\s|$)/.test(command) && command.includes(` -D ${directory} `);
}

/** The command line of a process, its arguments joined by spaces; empty when there is no such process. */
async function commandLine(pid: number): Promise<string> {
  try {
    if (process.platform === 'linux') return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ');
    return `${(await promisify(execFile)('ps', ['-ww', '-o', 'args=', '-p', String(pid)])).stdout.trim()} `;
  } catch {
    return '';
  }
}

function isAlive(pid: number): boolean {
  return sendSignal(pid, 0);
}

/** Tells whether there was such a process. */
function sendSignal(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function isGone(pid: number, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (!isAlive(pid)) return true;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return !isAlive(pid);
}

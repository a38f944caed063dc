import { linkSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StartupError } from '@kms/platform';

const LOCK = /^launcher\.([1-9][0-9]{0,8})\.lock$/;

/**
 * Lets one launcher at a time use a home, and answers how to give the lock back. A lock whose process is gone is taken over. Throws
 * StartupError where another launcher holds it.
 *
 * The lock files are numbered, and the one with the highest number counts. Whoever finds its holder gone makes the next one, which a
 * file system lets only one process do. A file is removed only while a higher one is there, so the highest number never falls: a
 * process that was slow, and made a file that was removed long ago once more, sees the higher one afterwards and starts over.
 */
export function lockHome(directory: string): () => void {
  for (;;) {
    const newest = highest(directory);
    const pid = runningHolder(directory, newest);
    if (pid !== null) throw new StartupError(`Another Donutwork KMS (process ${pid}) uses this KMS_HOME already.`);
    const mine = newest + 1;
    if (claim(directory, mine) && removeOthers(directory, mine)) return () => truncateSync(fileOf(directory, mine));
  }
}

const fileOf = (directory: string, number: number) => join(directory, `launcher.${number}.lock`);

const numbers = (directory: string) => readdirSync(directory).flatMap((name) => Number(LOCK.exec(name)?.[1] ?? []));

const highest = (directory: string) => Math.max(0, ...numbers(directory));

/** The process that holds a lock; null where it is gone, or has given the lock back, which leaves the file empty. */
function runningHolder(directory: string, number: number): string | null {
  try {
    const holder = readFileSync(fileOf(directory, number), 'utf8');
    const [pid = ''] = holder.split(' ', 1);
    return holder !== '' && holder === identityOf(pid) ? pid : null;
  } catch (error) {
    // There is no lock yet, or a higher one came meanwhile: then the claim of the next number fails.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Makes a lock file, whole at once. False where it is there already. */
function claim(directory: string, number: number): boolean {
  const whole = join(directory, `launcher.${process.pid}.new`);
  writeFileSync(whole, identityOf('self') ?? '', { mode: 0o600 });
  try {
    linkSync(whole, fileOf(directory, number));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(whole);
  }
}

/** Removes the locks below this one. False where there is a higher one: then this one is removed, it was taken too late. */
function removeOthers(directory: string, mine: number): boolean {
  const isLate = highest(directory) > mine;
  for (const number of numbers(directory)) {
    if (number < mine || (isLate && number === mine)) rmSync(fileOf(directory, number), { force: true });
  }
  return !isLate;
}

/**
 * A process's number, when it started (clock ticks since the boot) and which boot that was: its number alone may be another process's by
 * now. Null where there is no such process, or none that still runs (proc(5): fields 1, 3 and 22 of `/proc/PID/stat`).
 */
function identityOf(pid: string): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state === 'Z' || state === 'X') return null;
    return `${stat.split(' ', 1)[0]} ${fields[18]} ${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}`;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return null;
    throw error;
  }
}

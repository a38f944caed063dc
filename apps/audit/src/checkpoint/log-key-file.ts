import { randomBytes, randomInt } from 'node:crypto';
import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { RootKeyProvider } from '@kms/envelope';
import { StartupError, syncFolder, type Logger } from '@kms/platform';
import type { LogKeys } from './log-keys.ts';
import { isWrapped, readLogKeys, signWith, unwrapLogKeys, wrapLogKeys } from './wrapped-log-keys.ts';

/**
 * The log keys of a configuration's text, which came from `file` if from any. Keys that a version before wrapped ones has left in the file are
 * wrapped in their place first; without a file they are refused. Rejects with a {@link StartupError}.
 */
export async function openLogKeys(
  text: string,
  file: string | undefined,
  provider: RootKeyProvider,
  logger: Pick<Logger, 'info'>,
): Promise<LogKeys> {
  if (isWrapped(text)) return signWith(await unwrapLogKeys(text, provider));
  if (file === undefined) throw new StartupError(`LOG_KEY is not wrapped: ${HOW_TO_WRAP}`);
  const wrap = async (plain: string) => wrapLogKeys(await readLogKeys(plain, provider), provider);
  const wrapped = await replaceLogKeys(file, wrap).catch((cause: unknown) => {
    if (cause instanceof StartupError) throw cause;
    throw new StartupError(`LOG_KEY_FILE is not wrapped, and cannot be: ${(cause as Error).message}; ${HOW_TO_WRAP}`, { cause });
  });
  const keys = signWith(await unwrapLogKeys(wrapped, provider));
  logger.info({ logKeys: keys.verifierKeys }, 'The log key is wrapped in its file now.');
  return keys;
}

const HOW_TO_WRAP = 'run rotate-log-key wrap where its file can be written (docs/audit-log.md).';

/** How often a change is begun while others take its file away, and the pause before it is begun again: up to so many milliseconds, each time more. */
const [MOST_ATTEMPTS, PAUSE_MS] = [20, 50];

/**
 * Replaces what is in a log key's file by what `change` makes of it, whole or not at all, with the same permissions, and answers the new text.
 * Rejects with a {@link StartupError} where the file cannot be read or others change it all the time, and with what `change` and the disk do.
 */
export async function replaceLogKeys(file: string, change: (text: string) => Promise<string>): Promise<string> {
  for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt += 1) {
    const text = await tryToReplace(file, change);
    if (text !== null) return text;
    await setTimeout(randomInt(PAUSE_MS * attempt));
  }
  throw new StartupError('The log key is being changed by others all the time: nothing was changed, try again.');
}

/**
 * What is not in the file's place was never in force, so a change begins by taking away what others were about to put there: the rest of one that
 * was cut short, or the file of one that is under way, which then finds nothing to rename. It reads the key only after that: of several
 * changes at once none is made of a key that another one replaces meanwhile. Answers null where nothing was changed because of another one.
 */
async function tryToReplace(file: string, change: (text: string) => Promise<string>): Promise<string | null> {
  const before = await stat(file).catch((cause: unknown) => unreadable(file, cause));
  const next = `${file}.${randomBytes(8).toString('hex')}.new`;
  const handle = await open(next, 'wx', 0o600);
  try {
    await removeOthers(file, next);
    const text = await change(await readFile(file, 'utf8').catch((cause: unknown) => unreadable(file, cause)));
    await handle.chmod(before.mode & 0o777);
    await handle.writeFile(text);
    await handle.sync();
    await handle.close();
    await rename(next, file);
    await syncFolder(dirname(file));
    return text;
  } catch (error) {
    await handle.close();
    await rm(next, { force: true });
    if ((error as NodeJS.ErrnoException).syscall === 'rename' && (error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** A version before gave all of them one name. */
async function removeOthers(file: string, own: string): Promise<void> {
  const isNext = (name: string) =>
    name.startsWith(`${basename(file)}.`) && /^(?:[0-9a-f]{16}\.)?new$/.test(name.slice(basename(file).length + 1));
  const names = (await readdir(dirname(file))).filter((name) => isNext(name) && name !== basename(own));
  for (const name of names) await rm(join(dirname(file), name), { force: true });
}

function unreadable(file: string, cause: unknown): never {
  throw new StartupError(`The log key ${file} cannot be read: ${(cause as NodeJS.ErrnoException).code}.`, { cause });
}

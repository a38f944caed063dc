import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
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

/**
 * Replaces what is in a log key's file by what `change` makes of it, whole or not at all, with the same permissions, and answers the new text.
 * Rejects with a {@link StartupError} where the file cannot be read or another process is at it, and with what `change` and the disk do.
 */
export async function replaceLogKeys(file: string, change: (text: string) => Promise<string>): Promise<string> {
  const before = await stat(file).catch((cause: unknown) => unreadable(file, cause));
  const next = `${file}.new`;
  // Made before the file is read: of two changes at once the second finds it, and changes nothing.
  const handle = await open(next, 'wx', 0o600).catch((cause: unknown) => taken(next, cause));
  try {
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
    throw error;
  }
}

function unreadable(file: string, cause: unknown): never {
  throw new StartupError(`The log key ${file} cannot be read: ${(cause as NodeJS.ErrnoException).code}.`, { cause });
}

function taken(next: string, cause: unknown): never {
  if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
  throw new StartupError(`${next} is there: the log key is being changed, or a change was cut short, and then remove that file.`, {
    cause,
  });
}

import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { LogFiles } from '@kms/evidence';
import { CannotRunError } from '../command.ts';

/** A pack as a folder. Throws {@link CannotRunError} where there is no folder, or a file of it that cannot be read. */
export async function openPackFolder(path: string): Promise<LogFiles> {
  const found = await stat(path).catch(() => null);
  if (found === null) throw new CannotRunError(`There is nothing at ${path}.`);
  if (!found.isDirectory()) throw new CannotRunError(`An evidence pack is a folder, and ${path} is none.`);
  return { read: (file) => readOrNull(join(path, file)) };
}

/** At once: a promise of a small file costs ten times the file. What else waits, a Ctrl-C, has its turn before. */
async function readOrNull(path: string): Promise<Uint8Array | null> {
  await turn();
  try {
    return readFileSync(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw new CannotRunError(`A file of the pack could not be read (${code ?? 'unknown'}): ${path}`, { cause });
  }
}

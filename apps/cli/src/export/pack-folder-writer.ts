import { mkdir, mkdtemp, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { PackWriter } from '@kms/evidence';
import { CannotRunError } from '../command.ts';

/**
 * Fills a folder that gets its name last: until then nothing stands at `path`, and what stands beside it is taken away when `fill` fails.
 * Everything is on the disk before it has its name. Throws {@link CannotRunError} where something is there already or it cannot be written;
 * errors of `fill` pass on.
 */
export async function writeFolder<T>(path: string, fill: (writer: PackWriter, folder: string) => Promise<T>): Promise<T> {
  const target = resolve(path);
  if ((await stat(target).catch(() => null)) !== null)
    throw new CannotRunError(`There is something at ${path} already: name another folder.`);
  const folder = await onDisk(() => mkdtemp(join(dirname(target), `.${basename(target)}.partial-`)));
  const folders = new Set([folder]);
  try {
    const write = (file: string, bytes: Uint8Array) => onDisk(() => writeDurably(folder, file, bytes, folders));
    const result = await fill({ write }, folder);
    await onDisk(async () => {
      for (const made of folders) await sync(made);
      await rename(folder, target);
      await sync(dirname(target));
    });
    return result;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function writeDurably(folder: string, path: string, bytes: Uint8Array, folders: Set<string>): Promise<void> {
  const target = join(folder, path);
  for (let parent = dirname(target); !folders.has(parent); parent = dirname(parent)) {
    await mkdir(parent, { recursive: true });
    folders.add(parent);
  }
  const file = await open(target, 'wx');
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function sync(folder: string): Promise<void> {
  const handle = await open(folder);
  await handle.sync().finally(() => handle.close());
}

async function onDisk<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === undefined) throw cause;
    throw new CannotRunError(`The folder could not be written (${code}).`, { cause });
  }
}

import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** What is kept of something, and the how manieth state of it that is, from 1. */
export interface Kept {
  readonly bytes: Buffer;
  readonly number: number;
}

/** Somebody else has kept another state since the one that was read: it is to be read again. */
export class KeptMeanwhileError extends Error {
  override readonly name = 'KeptMeanwhileError';
}

/**
 * The last state of each of many things, on the disk before anybody hears of it. A thing has a folder of its own, and a state is a file there
 * that is never changed: the next one has the next number, which a file system lets only one process make. So of several processes that read
 * the same state one replaces it, wherever they run, and a number that was reached is never gone back from.
 */
export class KeptFiles {
  constructor(readonly directory: string) {}

  /** Makes the folder where it is missing. */
  async prepare(): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
  }

  /** The last state, or null where there is none. `name` is safe as a file's name. */
  async read(name: string): Promise<Kept | null> {
    for (;;) {
      const number = newest(await this.#list(name));
      if (number === 0) return null;
      const bytes = await unless('ENOENT', readFile(this.#path(name, String(number))));
      // A file that is gone again was replaced by a higher one.
      if (bytes !== null) return { bytes, number };
    }
  }

  /**
   * Resolves only when the bytes are on the disk in the place of `previous`, which is what was read last. Rejects with
   * {@link KeptMeanwhileError} where that is not the last state any more, and has then kept nothing.
   */
  async replace(name: string, previous: Kept | null, bytes: Uint8Array): Promise<void> {
    const number = (previous?.number ?? 0) + 1;
    if (previous === null) await this.#makeFolder(name);
    if (!(await this.#claim(name, number, bytes))) throw new KeptMeanwhileError('The state was replaced by another process.');
    await syncFolder(this.#path(name));
    const others = (await this.#list(name)).filter((file) => file !== String(number));
    for (const file of others) await rm(this.#path(name, file), { force: true });
  }

  /** False where somebody else has this number, or was so much faster that this one is gone again and there is a higher one. */
  async #claim(name: string, number: number, bytes: Uint8Array): Promise<boolean> {
    const whole = this.#path(name, `${randomBytes(8).toString('hex')}.new`);
    const file = this.#path(name, String(number));
    await writeSynced(whole, bytes);
    try {
      await link(whole, file);
    } catch (error) {
      // Who has replaced the state clears away what others were about to put in its place.
      if (['EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
      throw error;
    } finally {
      await rm(whole, { force: true });
    }
    if (newest(await this.#list(name)) === number) return true;
    await rm(file, { force: true });
    return false;
  }

  async #makeFolder(name: string): Promise<void> {
    await unless('EEXIST', mkdir(this.#path(name), { mode: 0o700 }));
    await syncFolder(this.directory);
  }

  async #list(name: string): Promise<string[]> {
    return (await unless('ENOENT', readdir(this.#path(name)))) ?? [];
  }

  #path(...names: string[]): string {
    return join(this.directory, ...names);
  }
}

const newest = (files: readonly string[]) => Math.max(0, ...files.filter((file) => /^[1-9][0-9]*$/.test(file)).map(Number));

async function unless<T>(code: string, action: Promise<T>): Promise<T | null> {
  try {
    return await action;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === code) return null;
    throw error;
  }
}

async function writeSynced(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes what was created or renamed in a folder survive a power cut. */
export async function syncFolder(directory: string): Promise<void> {
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

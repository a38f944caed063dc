import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The last checkpoint that was signed of each log, in files of its own: a database that is restored from a backup does not take them back,
 * so that nobody signs another history over the one that was signed.
 */
export class KeptCheckpoints {
  constructor(readonly directory: string) {}

  async prepare(): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
  }

  /** The checkpoint's bytes, or null where none was signed. */
  async read(organizationId: string): Promise<Buffer | null> {
    try {
      return await readFile(this.#file(organizationId));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  /** Resolves only when the checkpoint is on the disk, under its name. */
  async keep(organizationId: string, note: Uint8Array): Promise<void> {
    const file = this.#file(organizationId);
    await writeSynced(`${file}.new`, note);
    await rename(`${file}.new`, file);
    const folder = await open(this.directory);
    await folder.sync().finally(() => folder.close());
  }

  #file(organizationId: string): string {
    return join(this.directory, `${organizationId}.checkpoint`);
  }
}

async function writeSynced(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'w', 0o600);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

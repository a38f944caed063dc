import { execFile } from 'node:child_process';
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const SIZE_MIB = 4_096;
const MIB = 1024 * 1024;

/** A file system of its own that can be made full: a tmpfs, whose size is changed while it is in use. What it holds is in memory. */
export class SmallDisk {
  private constructor(readonly directory: string) {}

  /** Mounts it on a new folder. Answers null where this process may not mount. */
  static async mount(directory: string): Promise<SmallDisk | null> {
    await mkdir(directory, { recursive: true });
    try {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_MIB}m,mode=0755`, 'tmpfs', directory]);
      return new SmallDisk(directory);
    } catch {
      return null;
    }
  }

  /** Leaves no room: the size becomes what is used, and a file takes what is left of the last mebibyte. */
  async fill(): Promise<void> {
    const { blocks, bfree, bsize } = await statfs(this.directory);
    await this.#resize(Math.ceil(((blocks - bfree) * bsize) / MIB));
    await writeFile(this.#ballast, Buffer.alloc(MIB)).catch((error: NodeJS.ErrnoException) => {
      // As much of it is there as there was room for: that is what it is for.
      if (error.code !== 'ENOSPC') throw error;
    });
  }

  async free(): Promise<void> {
    await this.#resize(SIZE_MIB);
    await rm(this.#ballast, { force: true });
  }

  async unmount(): Promise<void> {
    await run('umount', [this.directory]);
  }

  get #ballast(): string {
    return join(this.directory, 'ballast');
  }

  async #resize(mib: number): Promise<void> {
    await run('mount', ['-o', `remount,size=${mib}m`, this.directory]);
  }
}

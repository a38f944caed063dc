import { chmod, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Makes a folder that nobody else may read. Where this process is root, PostgreSQL's own account may pass through it. */
export async function makePrivateFolder(directory: string): Promise<void> {
  await makeFolder(directory);
  await chmod(directory, process.getuid?.() === 0 ? 0o711 : 0o700);
}

/**
 * Makes a folder and those above it. Node's own way to do so never ends on a file system that knows no new folders and says `ENOENT`,
 * as `/proc` does.
 */
async function makeFolder(directory: string): Promise<void> {
  try {
    await mkdir(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await stat(directory)).isDirectory()) return;
    if (code !== 'ENOENT' || (await isThere(dirname(directory)))) throw error;
    await makeFolder(dirname(directory));
    await mkdir(directory);
  }
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

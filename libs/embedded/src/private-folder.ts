import { chmod, mkdir } from 'node:fs/promises';

/** Makes a folder that nobody else may read. Where this process is root, PostgreSQL's own account may pass through it. */
export async function makePrivateFolder(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await chmod(directory, process.getuid?.() === 0 ? 0o711 : 0o700);
}

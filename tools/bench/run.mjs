// Reveals over keep-alive HTTP against a suite of its own: reveals per second, latency, and the CPU time of each process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const SECONDS = 10;
const TICKS_PER_SECOND = 100;

const folder = mkdtempSync(join(tmpdir(), 'kms-bench-'));
chmodSync(folder, 0o755);
const home = join(folder, 'home');
const port = await freePort();
const launcher = spawn(process.execPath, ['tools/launcher/start.mjs'], {
  cwd: root,
  env: { PATH: process.env.PATH, KMS_HOME: home, PORT: String(port), LOG_LEVEL: 'warn' },
  stdio: ['ignore', 'pipe', 'inherit'],
});
try {
  await ready(launcher);
  const { baseUrl, apiKey } = JSON.parse(readFileSync(join(home, 'admin.json'), 'utf8'));
  const headers = { authorization: `Bearer ${apiKey}` };
  const kmsEntry = { name: 'bench', handler: 'bench', content: 'x'.repeat(40), whitelist: ['127.0.0.1'] };
  await fetch(`${baseUrl}/kms.json`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ kmsEntry }),
  });
  const url = `${baseUrl}/kms/reveal/bench.json`;
  await autocannon({ url, headers, connections: 64, duration: 3 });

  console.log(`${cpus().length} cores, Node ${process.versions.node}, stand-in broker, ${SECONDS} s each; CPU in µs per reveal\n`);
  console.log(
    '| connections | reveals/s | p50 ms | p99 ms | refused | gateway | vault | its PostgreSQL | audit | its PostgreSQL | broker |',
  );
  console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |');
  for (const connections of [1, 16, 64, 256]) {
    const before = cpuTicks();
    const result = await autocannon({ url, headers, connections, duration: SECONDS });
    const after = cpuTicks();
    const count = result['2xx'];
    const cost = (name) => Math.round((((after[name] ?? 0) - (before[name] ?? 0)) / TICKS_PER_SECOND / count) * 1e6);
    const columns = ['gateway', 'vault', 'kms_vault', 'audit', 'kms_audit', 'broker-process'].map(cost);
    const rate = Math.round(count / result.duration);
    console.log(
      `| ${[connections, rate, result.latency.p50, result.latency.p99, result.non2xx + result.errors, ...columns].join(' | ')} |`,
    );
  }
} finally {
  const exit = once(launcher, 'exit');
  if (launcher.exitCode === null && launcher.kill('SIGTERM')) await exit;
  rmSync(folder, { recursive: true, force: true });
}

async function ready(child) {
  let output = '';
  for await (const chunk of child.stdout) {
    output += chunk;
    if (output.includes('Ready in')) return child.stdout.on('data', () => undefined);
  }
  throw new Error(`The suite did not start: ${output}`);
}

/** CPU ticks by part: the launcher's children by their program, and all below PostgreSQL's first process. */
function cpuTicks() {
  const processes = new Map();
  for (const pid of readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      processes.set(Number(pid), { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]), command });
    } catch (error) {
      if (error.code !== 'ENOENT' && error.code !== 'ESRCH') throw error; // A process that ended while we looked.
    }
  }
  const ticks = {};
  for (const { parent, ticks: own, command } of processes.values()) {
    const above = processes.get(parent);
    if (parent !== launcher.pid && above?.parent !== launcher.pid) continue;
    // A server process of PostgreSQL has its role and its database in its title; the few that work for all databases are left out.
    const [, database] = /^postgres: kms_\w+ (kms_\w+)/.exec(command) ?? [];
    const name = database ?? ['broker-process', 'gateway', 'vault', 'audit'].find((part) => command.includes(part));
    if (name !== undefined) ticks[name] = (ticks[name] ?? 0) + own;
  }
  return ticks;
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port: free } = server.address();
      server.close(() => resolve(free));
    });
  });
}

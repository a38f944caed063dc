// Reveals over keep-alive HTTP against a suite of its own: reveals per second, latency, the CPU time of each process, and the ledger's lag.
//   npm run bench -- [--quick] [--out <file>] [--against <file of an earlier run>]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus, tmpdir, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const { quick, out, against } = parameters();
const earlier = against === undefined ? null : readEarlier(against);
const SECONDS = quick ? 4 : 10;
const LAG_PROBES = quick ? 20 : 100;
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
  await autocannon({ url, headers, connections: 64, duration: quick ? 2 : 3 });

  console.log(`${cpus().length} cores, Node ${process.versions.node}, stand-in broker, ${SECONDS} s each; CPU in µs per reveal\n`);
  console.log(
    '| connections | reveals/s | p50 ms | p99 ms | refused | gateway | vault | its PostgreSQL | audit | its PostgreSQL | broker | generator |',
  );
  console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |');
  const result = {
    reveal: [],
    ledger: null,
    machine: { cores: cpus().length, model: cpus()[0]?.model, memoryBytes: totalmem(), node: process.versions.node, broker: 'stand-in' },
  };
  for (const connections of [1, 16, 64, 256]) {
    const { count: records } = await newestRecord(baseUrl, headers);
    const before = cpuTicks();
    const load = await autocannon({ url, headers, connections, duration: SECONDS });
    const after = cpuTicks();
    const { count: recordsAfter } = await newestRecord(baseUrl, headers);
    const count = load['2xx'];
    const cost = (name) => ((after[name] ?? 0) - (before[name] ?? 0)) / TICKS_PER_SECOND / count;
    const names = ['gateway', 'vault', 'kms_vault', 'audit', 'kms_audit', 'broker-process', 'generator'];
    const columns = names.map((name) => Math.round(cost(name) * 1e6));
    const rate = Math.round(count / load.duration);
    const { p50, p99 } = load.latency;
    console.log(`| ${[connections, rate, p50, p99, load.non2xx + load.errors, ...columns].join(' | ')} |`);
    const [gateway, vault, postgres, audit, , broker, generator] = names.map((name) => cost(name) * 1e3);
    const cpuMsPerReveal = { gateway, vault, postgres, audit, broker, generator };
    result.reveal.push({ connections, revealsPerSecond: rate, p50Ms: p50, p99Ms: p99, cpuMsPerReveal, records, entries: 1 });
    if (connections === 64) result.ledger = ledgerCost(recordsAfter - records, load.duration, cost('audit') + cost('kms_audit'), count);
  }
  await caughtUp(baseUrl, headers);
  result.ledger.lagMsP99 = await lag(baseUrl, headers);
  const { recordsPerSecond, cpuMsPerRecord, lagMsP99 } = result.ledger;
  console.log(`\nThe ledger followed ${recordsPerSecond} records/s at ${Math.round(cpuMsPerRecord * 1e3)} µs each (64 connections).`);
  console.log(`From a reveal to its record in the ledger: p99 ${Math.round(lagMsP99)} ms over ${LAG_PROBES} reveals, one at a time.`);
  if (earlier !== null) compare(result, earlier);
  if (out !== undefined) writeFileSync(out, `${JSON.stringify(result, null, 2)}\n`);
} finally {
  const exit = once(launcher, 'exit');
  if (launcher.exitCode === null && launcher.kill('SIGTERM')) await exit;
  rmSync(folder, { recursive: true, force: true });
}

/** The newest record of a reveal in the ledger, and how many there are. */
async function newestRecord(baseUrl, headers) {
  const answer = await fetch(`${baseUrl}/audit.json?handler=bench&outcome=success&size=1`, { headers });
  const { count, elements } = await answer.json();
  return { count, id: elements[0]?.id };
}

/** What the ledger took in while it followed the reveals, and what a record cost it. */
function ledgerCost(arrived, seconds, cpuSecondsPerReveal, reveals) {
  return { recordsPerSecond: Math.round(arrived / seconds), cpuMsPerRecord: ((cpuSecondsPerReveal * reveals) / arrived) * 1e3 };
}

/** Waits until the ledger grows no more. */
async function caughtUp(baseUrl, headers) {
  for (let last = -1, now = 0; now !== last;) {
    last = now;
    await pause(1_000);
    ({ count: now } = await newestRecord(baseUrl, headers));
  }
}

/** The 99th percentile of the time from a reveal's answer until the ledger has its record, in milliseconds. */
async function lag(baseUrl, headers) {
  const times = [];
  for (let probe = 0; probe < LAG_PROBES; probe += 1) {
    const answer = await fetch(`${baseUrl}/kms/reveal/bench.json`, { headers });
    await answer.text();
    const begin = process.hrtime.bigint();
    const [id] = answer.headers.get('audit-record').split(';', 1);
    while ((await newestRecord(baseUrl, headers)).id !== id) await pause(2);
    times.push(Number(process.hrtime.bigint() - begin) / 1e6);
  }
  return times.sort((a, b) => a - b)[Math.ceil(times.length * 0.99) - 1];
}

/** Ratios to an earlier run: only runs of the same machine in the same hour compare. */
function compare(result, earlier) {
  console.log('\n| connections | reveals/s, to the earlier run | gateway + vault + PostgreSQL, to the earlier run |\n| --- | --- | --- |');
  const total = ({ cpuMsPerReveal: { gateway, vault, postgres } }) => gateway + vault + postgres;
  for (const line of result.reveal) {
    const other = earlier.reveal.find(({ connections }) => connections === line.connections);
    if (other === undefined) continue;
    const ratios = [line.revealsPerSecond / other.revealsPerSecond, total(line) / total(other)].map((ratio) => ratio.toFixed(2));
    console.log(`| ${[line.connections, ...ratios].join(' | ')} |`);
  }
}

function parameters() {
  try {
    return parseArgs({
      options: { quick: { type: 'boolean', default: false }, out: { type: 'string' }, against: { type: 'string' } },
    }).values;
  } catch (error) {
    return refuse(error.message);
  }
}

function readEarlier(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    return refuse(`The earlier run ${file} cannot be read: ${error.code ?? 'it is not JSON'}.`);
  }
}

function refuse(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
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
  const { user, system } = process.cpuUsage();
  const ticks = { generator: ((user + system) / 1e6) * TICKS_PER_SECOND };
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

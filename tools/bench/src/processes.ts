import { readdirSync, readFileSync } from 'node:fs';
import type { Suite } from './suite.ts';

const NANOSECONDS_PER_TICK = 1e7;

/** What runs: the services, the brokers, and PostgreSQL by the database that is worked for. */
export const PARTS = [
  'gateway',
  'vault',
  'audit',
  'broker',
  'gatewayPostgres',
  'vaultPostgres',
  'auditPostgres',
  'sharedPostgres',
] as const;
export type Part = (typeof PARTS)[number];
export type PerPart = Record<Part, number>;

/** The title of a process that PostgreSQL runs for one database: "postgres: ROLE DATABASE …" (ps_status.c). */
const DATABASE_TITLE = /^postgres: (?:autovacuum worker|\w+) kms_(gateway|vault|audit)\b/;

/** The CPU time of each part so far, and of the load generator, in nanoseconds. */
export function readCpu(suite: Suite): PerPart & { generator: number } {
  const cpu = { ...zero(), generator: ownCpu() };
  for (const { part, pid } of processes(suite)) cpu[part] += cpuOf(pid);
  // What ended meanwhile is in its parent's account: nothing is lost, it only changes sides.
  cpu.sharedPostgres += (statOf(suite.postgresPid)?.reapedTicks ?? 0) * NANOSECONDS_PER_TICK;
  return cpu;
}

/** Resident memory of each part, and its proportional share where processes share pages, in bytes. */
export function readMemory(suite: Suite): Record<Part, { rssBytes: number; pssBytes: number }> {
  const memory = Object.fromEntries(PARTS.map((part) => [part, { rssBytes: 0, pssBytes: 0 }])) as ReturnType<typeof readMemory>;
  for (const { part, pid } of processes(suite)) {
    const rollup = readProcess(pid, 'smaps_rollup') ?? '';
    const bytes = (name: string) => Number(new RegExp(`^${name}: +([0-9]+) kB$`, 'm').exec(rollup)?.[1] ?? 0) * 1024;
    memory[part].rssBytes += bytes('Rss');
    memory[part].pssBytes += bytes('Pss');
  }
  return memory;
}

const zero = () => Object.fromEntries(PARTS.map((part) => [part, 0])) as PerPart;

function processes(suite: Suite): { part: Part; pid: number }[] {
  const own = (['gateway', 'vault', 'audit', 'broker'] as const).flatMap((part) => suite.pids(part).map((pid) => ({ part, pid })));
  const postgres = childrenOf(suite.postgresPid).map((pid) => {
    const [, database] = DATABASE_TITLE.exec(readProcess(pid, 'cmdline') ?? '') ?? [];
    return { part: database === undefined ? ('sharedPostgres' as const) : (`${database as 'vault'}Postgres` as const), pid };
  });
  return [...own, ...postgres, { part: 'sharedPostgres', pid: suite.postgresPid }];
}

const childrenOf = (pid: number) => (readProcess(pid, `task/${pid}/children`) ?? '').split(' ').filter(Boolean).map(Number);

/**
 * The CPU time of a process so far, in nanoseconds. The scheduler counts nanoseconds, but only for threads that still run; the process's own account has those that ended too, in ticks
 * that are not over yet left out. Each is at most the truth, so the larger one is the closer one.
 */
export function cpuOf(pid: number): number {
  const threads = threadsOf(pid).map((thread) => Number((readProcess(pid, `task/${thread}/schedstat`) ?? '0').split(' ', 1)[0]));
  const running = threads.reduce((sum, nanoseconds) => sum + nanoseconds, 0);
  return Math.max(running, (statOf(pid)?.ticks ?? 0) * NANOSECONDS_PER_TICK);
}

/** This process's, and what wrk used once it ended. The services run on, so they are not among the children that ended. */
function ownCpu(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1e3 + (statOf(process.pid)?.reapedTicks ?? 0) * NANOSECONDS_PER_TICK;
}

/** Fields 14 and 15 of `/proc/PID/stat`, and 16 and 17, which are those of children that ended (proc(5)). */
function statOf(pid: number): { ticks: number; reapedTicks: number } | null {
  const stat = readProcess(pid, 'stat');
  if (stat === null) return null;
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const sum = (from: number) => (fields[from] ?? 0) + (fields[from + 1] ?? 0);
  return { ticks: sum(11), reapedTicks: sum(13) };
}

/** Null where the process, or the thread, ended while we looked. */
function readProcess(pid: number, file: string): string | null {
  return unlessGone(() => readFileSync(`/proc/${pid}/${file}`, 'utf8'));
}

const threadsOf = (pid: number) => unlessGone(() => readdirSync(`/proc/${pid}/task`)) ?? [];

function unlessGone<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return null;
    throw error;
  }
}

import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { StartupError } from '@kms/platform';
import { drive, type Bench } from './bench.ts';
import { hottest, toFrames, toPage, type CpuProfile } from './flame-graph.ts';

const AGENT = new URL('./profile-agent.js', import.meta.url);
const CONNECTIONS = 64;
/** How long a service may take to write its profile, in milliseconds. */
const PATIENCE_MS = 30_000;
const HOTTEST = 12;

/** One service's profile: its files, and the functions that took the most time themselves. */
export interface Profile {
  service: string;
  hottest: { name: string; part: number }[];
}

/** What a service needs in its environment so that it can be profiled. */
export const profileVariables = (folder: string) => ({ NODE_OPTIONS: `--import=${AGENT.href}`, BENCH_PROFILES: folder });

/** Makes the folder, or throws StartupError where it holds something. */
export async function makeProfileFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  if ((await readdir(folder)).length > 0) throw new StartupError(`--profile needs an empty folder: ${folder} holds something.`);
}

/** Profiles all services under a load of 64 connections, and writes a `.cpuprofile` and a flame graph for each. */
export async function profileServices(bench: Bench, folder: string): Promise<Profile[]> {
  const { suite, say, signal } = bench;
  const services = (['gateway', 'vault', 'audit'] as const).flatMap((service) => suite.pids(service).map((pid) => `${service}-${pid}`));
  const toggle = () => services.forEach((name) => process.kill(Number(name.split('-')[1]), 'SIGUSR2'));
  say('Profiling.');
  toggle();
  await drive(bench, { method: 'GET', path: '/kms/reveal/bench-0.json', connections: CONNECTIONS }, bench.seconds);
  toggle();
  const profiles: Profile[] = [];
  for (const service of services) {
    const file = join(folder, `${service}.cpuprofile`);
    await untilWritten(file, signal);
    const frames = toFrames(JSON.parse(await readFile(file, 'utf8')) as CpuProfile);
    await writeFile(join(folder, `${service}.html`), toPage(`${service}, reveals by ${CONNECTIONS} connections`, frames));
    profiles.push({ service, hottest: hottest(frames, HOTTEST) });
  }
  return profiles;
}

async function untilWritten(file: string, signal: AbortSignal): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; !existsSync(file);) {
    if (performance.now() > deadline) throw new Error(`${file} was not written.`);
    await pause(100, undefined, { signal });
  }
}

// Runs inside a service that is profiled: SIGUSR2 begins a CPU profile, the next one ends it and writes it.
import { rename, writeFile } from 'node:fs/promises';
import { Session } from 'node:inspector/promises';
import { basename, dirname, join } from 'node:path';

/** Between two looks at the stack, in microseconds. */
const INTERVAL_US = 500;

const folder = process.env['BENCH_PROFILES'];
let session: Session | null = null;

async function begin(): Promise<void> {
  session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US });
  await session.post('Profiler.start');
}

/** The file appears whole. It is named after the service, whose program is `apps/NAME/dist/main.js`. */
async function end(running: Session, directory: string): Promise<void> {
  const { profile } = await running.post('Profiler.stop');
  running.disconnect();
  const file = join(directory, `${basename(dirname(dirname(process.argv[1] ?? '')))}-${process.pid}.cpuprofile`);
  await writeFile(`${file}.new`, JSON.stringify(profile));
  await rename(`${file}.new`, file);
}

if (folder !== undefined) {
  process.on('SIGUSR2', () => {
    if (session === null) return void begin();
    const running = session;
    session = null;
    void end(running, folder);
  });
}

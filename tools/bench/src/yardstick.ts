import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Bench } from './bench.ts';
import { cpuOf } from './processes.ts';
import type { Yardstick } from './result.ts';

const SERVER = new URL('../dist/yardstick-server.js', import.meta.url);
const CONNECTIONS = 64;

/**
 * Has `work` done between two looks at what an answer of a bare `node:http` server costs, with the load of 64 connections that `work`
 * has. The server is a process of its own and has compiled its code by then. Throws where it does not answer every request.
 */
export async function betweenYardsticks<T>(
  { counts, generator, seconds, signal, say }: Bench,
  work: () => Promise<T>,
): Promise<{ value: T; yardstick: Yardstick }> {
  const server = fork(SERVER, [], { env: { PATH: process.env['PATH'] }, stdio: ['ignore', 'ignore', 'ignore', 'ipc'], detached: true });
  try {
    const [port] = (await once(server, 'message', { signal })) as [number];
    const asked = { gateways: [`127.0.0.1:${port}`], apiKey: 'none', method: 'GET', path: '/', connections: CONNECTIONS } as const;
    const drive = () => generator.run({ ...asked, seconds: Math.ceil(seconds / 2) }, signal);
    const measure = async (): Promise<number> => {
      await counts.untilCaughtUp(signal);
      const before = cpuOf(server.pid as number);
      const { succeeded, refused, broken } = await drive();
      if (succeeded === 0 || refused + broken > 0) throw new Error('The bare server that is the yardstick did not answer every request.');
      const cpuMs = (cpuOf(server.pid as number) - before) / 1e6 / succeeded;
      say(`a bare node:http answer: ${Math.round(cpuMs * 1e3)} µs of CPU`);
      return cpuMs;
    };
    await drive();
    const cpuMsBefore = await measure();
    const value = await work();
    return { value, yardstick: { cpuMsBefore, cpuMsAfter: await measure() } };
  } finally {
    server.kill('SIGKILL');
  }
}

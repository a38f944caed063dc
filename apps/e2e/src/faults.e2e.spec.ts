import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { waitFor } from '@kms/testing';
import { childrenOf, servicePid } from './inspect.ts';
import { Suite } from './suite.ts';

let suite: Suite;

beforeAll(async () => {
  suite = await Suite.make();
  await suite.start();
}, 60_000);

afterAll(() => suite.remove(), 30_000);

/** PostgreSQL's first process, and then those that it started. */
function postgresProcesses(): number[] {
  const first = Number(readFileSync(join(suite.home, 'postgres', 'postmaster.pid'), 'utf8').split('\n', 1)[0]);
  return [first, ...childrenOf(first)];
}

describe('the suite, when a part of it fails,', () => {
  it.each(['vault', 'audit'])(
    'comes back by itself after its %s was killed, with every record',
    async (service) => {
      const handler = `after-${service}`;
      await suite.create(handler, 'x');
      const pid = servicePid(suite.pid, service);
      expect(pid).toBeDefined();
      process.kill(pid as number, 'SIGKILL');
      expect((await suite.reveal(handler)).status).toBe(service === 'vault' ? 503 : 200);
      await waitFor('a reveal', async () => (await suite.reveal(handler)).status === 200);
      await waitFor('the record', () => suite.count(`handler=${handler}&outcome=success`), 50_000);
    },
    70_000,
  );

  it('reveals on while its broker is gone, and brings every record when it is back', async () => {
    await suite.create('after-broker', 'x');
    await suite.killBroker();
    for (let turn = 0; turn < 20; turn += 1) expect((await suite.reveal('after-broker')).status).toBe(200);
    await suite.restoreBroker();
    await waitFor('the records', async () => (await suite.count('handler=after-broker&outcome=success')) === 21, 60_000);
  }, 90_000);

  it('reveals on while its audit service hangs, and brings every record when that goes on', async () => {
    await suite.create('after-hang', 'x');
    const pid = servicePid(suite.pid, 'audit') as number;
    process.kill(pid, 'SIGSTOP');
    try {
      for (let turn = 0; turn < 20; turn += 1) expect((await suite.reveal('after-hang')).status).toBe(200);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await waitFor('the records', async () => (await suite.count('handler=after-hang&outcome=success')) === 21, 50_000);
  }, 60_000);

  it('answers every reveal with 503 and no content while PostgreSQL hangs, and reveals when it goes on', async () => {
    await suite.create('hanging', 'x');
    expect((await suite.reveal('hanging')).status).toBe(200);
    const stopped = postgresProcesses();
    for (const pid of stopped) process.kill(pid, 'SIGSTOP');
    try {
      for (const { status, body } of await Promise.all(Array.from({ length: 10 }, () => suite.reveal('hanging')))) {
        expect(status).toBe(503);
        expect(Object.keys(body)).toEqual(['error']);
      }
    } finally {
      for (const pid of stopped) process.kill(pid, 'SIGCONT');
    }
    await waitFor('a reveal', async () => (await suite.reveal('hanging')).status === 200);
  }, 60_000);

  it('answers every reveal with 503 and no content while PostgreSQL is gone', async () => {
    await suite.create('database', 'x');
    const [pid] = postgresProcesses() as [number];
    process.kill(pid, 'SIGQUIT');
    await waitFor('PostgreSQL to be gone', () => !existsSync(`/proc/${pid}`));
    // The launcher starts it again after a second: what is asked within that second is refused.
    for (const { status, body } of await Promise.all(Array.from({ length: 10 }, () => suite.reveal('database')))) {
      expect(status).toBe(503);
      expect(Object.keys(body)).toEqual(['error']);
    }
    await waitFor('PostgreSQL to be back', async () => (await suite.reveal('database')).status === 200);
  }, 40_000);
});

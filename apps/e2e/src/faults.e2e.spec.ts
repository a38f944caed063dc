import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CHECKPOINT_TOPIC } from '@kms/contracts';
import { readTopic, waitFor, whileStopped } from '@kms/testing';
import { postgresPids, servicePid } from './inspect.ts';
import { sizeOf } from './log.ts';
import { Suite } from './suite.ts';

let suite: Suite;

beforeAll(async () => {
  suite = await Suite.make();
  await suite.start();
}, 60_000);

afterAll(() => suite.remove(), 30_000);

/** A reveal that fails the test where it takes longer than the contract's 2 s, and half a second for the machine that runs both ends. */
const revealInTime = (handler: string, headers = {}) =>
  suite.call('GET', `/kms/reveal/${handler}.json`, undefined, headers, AbortSignal.timeout(2_500));

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
    const records = await suite.count('');
    await readTopic(await suite.brokers(), CHECKPOINT_TOPIC, (sofar) => sofar.some(({ value }) => sizeOf(value) >= records));
  }, 90_000);

  it('answers every reveal with 503 and no content while PostgreSQL is gone', async () => {
    await suite.create('database', 'x');
    const [pid] = postgresPids(suite.home);
    process.kill(pid as number, 'SIGQUIT');
    await waitFor('PostgreSQL to be gone', () => !existsSync(`/proc/${pid}`));
    // The launcher starts it again after a second: what is asked within that second is refused.
    for (const { status, body } of await Promise.all(Array.from({ length: 10 }, () => suite.reveal('database')))) {
      expect(status).toBe(503);
      expect(Object.keys(body)).toEqual(['error']);
    }
    await waitFor('PostgreSQL to be back', async () => (await suite.reveal('database')).status === 200);
  }, 40_000);

  it.each(['broker', 'audit'])(
    'reveals on while its %s stands still, and has every record once that goes on',
    async (service) => {
      const handler = `while-no-${service}`;
      await suite.create(handler, 'x');
      const pid = service === 'broker' ? await suite.brokerPid() : (servicePid(suite.pid, service) as number);
      await whileStopped([pid], async () => {
        for (let turn = 0; turn < 500; turn += 1) expect((await suite.reveal(handler)).status).toBe(200);
      });
      await waitFor('all records', async () => (await suite.count(`handler=${handler}&outcome=success`)) === 501, 50_000);
    },
    90_000,
  );

  it('answers every reveal with 503 in time and no content while PostgreSQL stands still', async () => {
    for (const handler of ['known', 'cold']) await suite.create(handler, 'content');
    await suite.create('closed', 'content', { whitelist: [] });
    expect([(await suite.reveal('known')).status, (await suite.reveal('closed')).status]).toEqual([200, 403]);
    await whileStopped(postgresPids(suite.home), async () => {
      // At first keys and policies are known, then they are not: each time something else waits for the database.
      for (let wave = 0; wave < 3; wave += 1) {
        const answers = ['known', 'known', 'cold', 'closed', 'unknown'].map((handler) => revealInTime(handler));
        answers.push(revealInTime('known', { authorization: 'Bearer nonsense' }));
        for (const { status, body } of await Promise.all(answers)) {
          expect(status).toBe(503);
          expect(Object.keys(body)).toEqual(['error']);
        }
      }
    });
    await waitFor('PostgreSQL to go on', async () => (await suite.reveal('known')).status === 200);
    expect((await suite.reveal('unknown')).status).toBe(404);
    await waitFor('the journal to say so', () => suite.log('gateway').includes('The journal commits again.'));
  }, 60_000);
});

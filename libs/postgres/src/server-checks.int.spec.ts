import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startTestPostgres, type TestPostgres } from '@kms/testing';
import { withClient } from './server-checks.ts';

let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

it('fails the next query of a session that was ended in between', async () => {
  const { ownerUrl, superuserUrl } = await postgres.createDatabase();
  const work = withClient(ownerUrl, async (client) => {
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const ended = new Promise<void>((resolve) => client.once('end', resolve));
    await withClient(superuserUrl, (other) => other.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]));
    await ended;
    await client.query('SELECT 1');
  });
  await expect(work).rejects.toThrow(/not queryable|connection/i);
});

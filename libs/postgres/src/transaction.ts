import type pg from 'pg';
import { CommitError } from './errors.ts';

/**
 * Runs `work` in a transaction on `client` and commits. A COMMIT can be answered with `ROLLBACK` and no error (a statement failed and
 * its error was swallowed): that throws {@link CommitError}. An error of `work` rolls back and is thrown on.
 */
export async function inTransaction<Client extends pg.ClientBase, T>(client: Client, work: (client: Client) => Promise<T>): Promise<T> {
  await client.query('BEGIN');
  let value: T;
  try {
    value = await work(client);
  } catch (error) {
    await rollBack(client, error);
    throw error;
  }
  await commit(client);
  return value;
}

/** Commits and checks that the server says so. */
export async function commit(client: pg.ClientBase): Promise<void> {
  const { command } = await client.query('COMMIT');
  if (command !== 'COMMIT') throw new CommitError(`The server answered COMMIT with ${command}: nothing was stored.`);
}

/** Rolls back. Where even that fails the connection is broken, which ends the transaction too: the first error says more. */
async function rollBack(client: pg.ClientBase, cause: unknown): Promise<void> {
  try {
    await client.query('ROLLBACK');
  } catch (error) {
    if (cause instanceof Error && cause.cause === undefined) cause.cause = error;
  }
}

import { inTransaction } from '@kms/postgres';
import type pg from 'pg';
import { appendOnly } from './append-only.ts';

/** A part of the ledger: what was appended from one opening to the next. In each log the eras are ranges of leaves, one after another. */
export interface Era {
  era: number;
  openedAt: Date;
  /** When the next one was opened; null for the last, which is appended to. */
  endedAt: Date | null;
  /** Whether its records have left the ledger. */
  isRetired: boolean;
}

const ERAS = `
  SELECT era, opened_at AS "openedAt", lead(opened_at) OVER (ORDER BY era) AS "endedAt",
         NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'ledger_records'::regclass AND inhrelid = to_regclass('ledger_records_' || era)) AS "isRetired"
  FROM ledger_eras ORDER BY era`;

/** How long appends may be held up by waiting for queries that are under way, in milliseconds. */
const LOCK_TIMEOUT_MS = 2_000;

/** The partition of `ledger_records` with the records of an era. */
export const partitionOf = (era: number): string => `ledger_records_${era}`;

/** All eras, the first one first. */
export async function readEras(client: pg.ClientBase): Promise<Era[]> {
  return (await client.query<Era>(ERAS)).rows;
}

/**
 * Opens the next era: whatever is appended from now on is in it. Answers its number. By the owner's role. It waits for the appends under way,
 * and holds the next ones up meanwhile: so an event that was looked for and not found is not appended in two eras by two processes.
 */
export function openEra(client: pg.ClientBase): Promise<number> {
  return changeEras(client, async () => {
    const { rows } = await client.query<{ next: number }>('SELECT max(era) + 1 AS next FROM ledger_eras');
    const era = rows[0]?.next as number;
    const partition = partitionOf(era);
    await client.query(`CREATE TABLE ${partition} PARTITION OF ledger_records FOR VALUES IN (${era})`);
    // Of each part alone, because over all of them the era would have to be in it: the lock and the heads of a log give no place twice, and a
    // number that another era has is found before it is appended.
    await client.query(`ALTER TABLE ${partition} ADD PRIMARY KEY (organization_id, leaf_index), ADD UNIQUE (writer, sequence)`);
    for (const statement of appendOnly(partition)) await client.query(statement);
    await client.query('INSERT INTO ledger_eras (era) VALUES ($1)', [era]);
    return era;
  });
}

/** A transaction that changes eras, one at a time. It fails with `lock_not_available` rather than hold appends up for long. */
export function changeEras<T>(client: pg.ClientBase, change: () => Promise<T>): Promise<T> {
  return inTransaction(client, async () => {
    await client.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
    await client.query('LOCK TABLE ledger_eras IN SHARE ROW EXCLUSIVE MODE');
    return change();
  });
}

import type { PostgresProxy } from '@kms/testing/postgres-proxy';
import { whileStopped } from '@kms/testing/while-stopped';
import { query } from './evidence.ts';
import { BrokenPromise, insist, moment, nothing, one, pause, pick, several, within, type Fault } from './fault.ts';

const AUDIT_UNAVAILABLE = 'Audit is unavailable';
const SERVICE_DATABASES = ['kms_gateway', 'kms_vault', 'kms_audit'] as const;
/** The vault's line on a journal that does not take an event. */
const CANNOT_COMMIT = 'The journal cannot commit; it tries again.';
/** How long the disk stays full, in milliseconds: longer than a trouble that follows another at once waits for its line in the log. */
const FULL_FOR_MS = 6_000;

const terminate = (url: string, database: string) =>
  query(url, 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [database]);

/**
 * A vault stands still and loses its sessions, so that the other takes its writer over; then it goes on, and there are two relays for
 * one writer.
 */
const TWO_RELAYS: Fault = {
  name: 'two relays for one writer',
  count: 50,
  lacks: several,
  mayRefuse: true,
  async strike(system, { random }) {
    const { pid } = one(system, 'vault', random);
    const open = async () => {
      const rows = await query<{ id: string }>(system.databases.vault.ownerUrl, 'SELECT id FROM journal_writers WHERE closed_at IS NULL');
      return rows.map(({ id }) => id);
    };
    await whileStopped([pid], async () => {
      const before = await open();
      await terminate(system.superuserUrl, 'kms_vault');
      await insist(async () => {
        if ((await open()).some((id) => before.includes(id)))
          throw new BrokenPromise('The writers of a vault that stands still were not taken over.');
      });
    });
  },
};

/** No byte more fits on PostgreSQL's disk, until there is space again. */
const DISK_FULL: Fault = {
  name: 'fill the disk of PostgreSQL',
  count: 3,
  lacks: ({ disk }) => (disk === undefined ? 'a small file system, and mounting one is not permitted here' : null),
  mayRefuse: true,
  refusal: AUDIT_UNAVAILABLE,
  needs: 'small disk',
  async strike(system, { refused }) {
    const linesBefore = countLines(system.logText('vault'));
    await system.disk?.fill();
    try {
      await within('a reveal to be refused while the disk is full', refused());
      await pause(FULL_FOR_MS);
    } finally {
      await system.disk?.free();
    }
    if (countLines(system.logText('vault')) === linesBefore) throw new BrokenPromise(`No vault logged "${CANNOT_COMMIT}"`);
  },
};

const countLines = (log: string) => log.split(CANNOT_COMMIT).length;

/** The database, or the way to it, is away or breaks. */
export const POSTGRES_FAULTS: readonly Fault[] = [
  {
    name: 'crash PostgreSQL',
    count: 20,
    lacks: nothing,
    mayRefuse: true,
    strike: (system) => system.crashPostgres(),
  },
  {
    name: 'terminate database sessions',
    count: 200,
    lacks: nothing,
    mayRefuse: true,
    async strike(system, { random }) {
      await moment(random);
      await terminate(system.superuserUrl, pick(SERVICE_DATABASES, random));
    },
  },
  {
    name: 'stop PostgreSQL for a while',
    count: 3,
    lacks: nothing,
    mayRefuse: true,
    async strike(system, { random, isFull }) {
      const sessions = await query<{ pid: number }>(system.superuserUrl, 'SELECT pid FROM pg_stat_activity');
      const pids = [system.postgresPid, ...sessions.map(({ pid }) => pid)];
      await whileStopped(pids, () => pause(isFull ? 30_000 : 2_000 + random() * 2_000));
    },
  },
  {
    name: 'drop the answer to a commit',
    count: 100,
    lacks: nothing,
    needs: 'database proxy',
    mayRefuse: true,
    async strike(system, { random }) {
      const pattern = random() < 0.5 ? /^COMMIT$/ : /^INSERT INTO journal_blocks/;
      const moment = random() < 0.5 ? 'during' : 'after';
      (await within('a commit', (system.databaseProxy as PostgresProxy).catchNext(pattern, moment))).cut();
    },
  },
  DISK_FULL,
  TWO_RELAYS,
];

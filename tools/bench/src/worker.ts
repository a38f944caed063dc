// A process of its own that puts records into a ledger, or works on those that are there; see worker-tasks.ts.
import { randomBytes } from 'node:crypto';
import { auditData, createIdGenerator, prepareEvent } from '@kms/contracts';
import { buildBlock, GENESIS, Journal, splitBlock, type Block, type PlaceEvent } from '@kms/journal';
import { parseEntryBundle, RecordVerifier, writeEntryBundle } from '@kms/merkle';
import { createPool, PostgresJournalStore, PostgresRelayStore } from '@kms/postgres';
import type pg from 'pg';
import { openLedger, openProver, type Ledger } from './audit-code.ts';
import { cpuOf } from './processes.ts';
import { EntryMaker } from './vault-code.ts';
import type { Task, Tasks, WorkerMessage } from './worker-tasks.ts';

/** As the audit service appends at most. */
const BATCH = 500;
/** Events of one commit of the journal, about as many as at 64 connections. */
const BLOCK = 50;
/** Entries of one transaction. */
const TOGETHER = 250;
const BUNDLE = 256;

const nextId = createIdGenerator({ now: Date.now, randomBytes });
const apiKeyId = nextId();
const entryId = nextId();

/** The event of a reveal, as the vault makes it. */
function revealEvent(organizationId: string): PlaceEvent {
  return prepareEvent({
    id: nextId(),
    source: '/vault',
    type: 'kms.secret.revealed.v1',
    time: new Date().toISOString(),
    data: auditData({
      organizationId,
      environment: 'production',
      apiKeyId,
      apiKeyName: 'Administrator',
      address: '127.0.0.1',
      requestId: crypto.randomUUID(),
      entryId,
      handler: 'bench-0',
      version: 1,
      revision: 1,
      action: 'reveal',
      outcome: 'success',
    }),
  });
}

/** Appends to the ledger; the messages come from a partition of no topic, so that no consumer's offsets are touched. */
class Appender {
  #offset = 0n;

  constructor(
    readonly ledger: Ledger,
    readonly organizationId: string,
  ) {}

  async append(values: readonly Buffer[]): Promise<void> {
    const key = Buffer.from(this.organizationId);
    const messages = values.map((value) => ({ offset: this.#offset++, key, value }));
    await this.ledger.handle({ topic: 'bench', partition: 0, messages, nextOffset: this.#offset });
  }
}

const openPool = (url: string) =>
  createPool(url, (error) => {
    throw error;
  });

async function fill({ vaultUrl, auditUrl, organizationId, count }: Tasks['fill']['task']): Promise<null> {
  const pool = openPool(auditUrl);
  const appender = new Appender(await openLedger(pool, organizationId), organizationId);
  const blocks: Block[] = [];
  const store = new PostgresJournalStore({ url: vaultUrl, nextId });
  const journal = new Journal<pg.ClientBase>({ store, onCommitted: (block) => blocks.push(block) });
  await journal.open();
  const writer = journal.writer as string;
  for (let done = 0; done < count;) {
    const end = Math.min(count, done + BATCH);
    while (done < end) {
      const size = Math.min(BLOCK, end - done);
      await Promise.all(Array.from({ length: size }, () => journal.append(revealEvent(organizationId))));
      done += size;
    }
    await appender.append(blocks.splice(0).flatMap(splitBlock));
    tell({ done });
  }
  // The ledger has it all: no relay needs to take the writer over.
  const relay = new PostgresRelayStore({ url: vaultUrl });
  await relay.acknowledge(writer, count);
  await relay.closeWriter(writer);
  await relay.close();
  await journal.close();
  await pool.end();
  return null;
}

async function makeEntries({ vaultUrl, rootKeyFile, organizationId, first, count, contentBytes }: Tasks['entries']['task']): Promise<null> {
  const journal = new Journal<pg.ClientBase>({ store: new PostgresJournalStore({ url: vaultUrl, nextId }) });
  await journal.open();
  const maker = await EntryMaker.open(journal, rootKeyFile, nextId);
  const who = { organizationId, environment: 'production', apiKeyId, apiKeyName: 'Administrator' } as const;
  const caller = { ...who, address: '127.0.0.1', userAgent: null, requestId: crypto.randomUUID() };
  const content = 'x'.repeat(contentBytes);
  for (let done = 0; done < count;) {
    const entries = Array.from({ length: Math.min(TOGETHER, count - done) }, (_, index) => {
      const handler = `bench-${first + done + index}`;
      return { name: handler, handler, content, encoding: 'utf8' as const, whitelist: ['127.0.0.1'], properties: {}, expiresAt: null };
    });
    await maker.create(caller, entries);
    done += entries.length;
    tell({ done });
  }
  await journal.close();
  return null;
}

async function append({ auditUrl, organizationId, count }: Tasks['append']['task']): Promise<Tasks['append']['result']> {
  const pool = openPool(auditUrl);
  const appender = new Appender(await openLedger(pool, organizationId), organizationId);
  const { rows } = await pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const backend = rows[0]?.pid as number;
  const writer = nextId();
  let head = { sequence: 0, hash: GENESIS };
  const result = { elapsedMs: 0, cpuMs: 0, postgresMs: 0, heads: 0 };
  while (head.sequence < count) {
    const size = Math.min(BATCH, count - head.sequence);
    const { block } = buildBlock(
      writer,
      head,
      Array.from({ length: size }, () => revealEvent(organizationId)),
    );
    head = { sequence: block.lastSequence, hash: block.hash };
    const values = splitBlock(block);
    const [begin, cpu, postgres] = [performance.now(), process.cpuUsage(), cpuOf(backend)];
    await appender.append(values);
    const { user, system } = process.cpuUsage(cpu);
    result.elapsedMs += performance.now() - begin;
    result.cpuMs += (user + system) / 1e3;
    result.postgresMs += (cpuOf(backend) - postgres) / 1e6;
  }
  result.heads = (await pool.query('SELECT FROM ledger_heads')).rowCount ?? 0;
  await pool.end();
  return result;
}

async function prove({ auditUrl, organizationId, count }: Tasks['prove']['task']): Promise<Tasks['prove']['result']> {
  const pool = openPool(auditUrl);
  const prover = await openProver(pool);
  const { rows } = await pool.query<{ id: string }>(
    `SELECT record_id AS id FROM ledger_records WHERE organization_id = $1 AND leaf_index IN (
       SELECT floor(random() * (SELECT max(leaf_index) FROM ledger_records WHERE organization_id = $1))::bigint FROM generate_series(1, $2)) ORDER BY random()`,
    [organizationId, count],
  );
  const timesMs: number[] = [];
  for (const { id } of rows) {
    const begin = performance.now();
    const { status } = await prover.proveRecord(organizationId, id);
    if (status !== 'ok') throw new Error(`Record ${id} was not proved: ${status}.`);
    timesMs.push(performance.now() - begin);
  }
  await pool.end();
  return { timesMs: timesMs.sort((one, other) => one - other) };
}

async function verify({ auditUrl, organizationId, count }: Tasks['verify']['task']): Promise<Tasks['verify']['result']> {
  const pool = openPool(auditUrl);
  const bundles: Uint8Array[] = [];
  for (let first = 0; first + BUNDLE <= count; first += BUNDLE) {
    const { rows } = await pool.query<{ bytes: Buffer }>(
      'SELECT bytes FROM ledger_records WHERE organization_id = $1 AND leaf_index >= $2 AND leaf_index < $3 ORDER BY leaf_index',
      [organizationId, first, first + BUNDLE],
    );
    bundles.push(writeEntryBundle(rows.map(({ bytes }) => bytes)));
  }
  await pool.end();
  const verifier = new RecordVerifier();
  const begin = performance.now();
  for (const bundle of bundles) for (const entry of parseEntryBundle(bundle, BUNDLE)) verifier.add(entry);
  return { perSecond: (verifier.size / (performance.now() - begin)) * 1e3, count: verifier.size };
}

function tell(message: WorkerMessage): void {
  process.send?.(message);
}

async function work(task: Task): Promise<Tasks[Task['name']]['result']> {
  switch (task.name) {
    case 'fill':
      return fill(task);
    case 'entries':
      return makeEntries(task);
    case 'append':
      return append(task);
    case 'prove':
      return prove(task);
    case 'verify':
      return verify(task);
  }
}

process.once('disconnect', () => process.exit(1));
process.once('message', (task: Task) => {
  void work(task).then(
    (result) => process.send?.({ result } satisfies WorkerMessage, () => process.exit(0)),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});

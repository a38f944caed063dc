import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openCheckpoint, verifyConsistency, verifyInclusion, type CheckpointPolicy } from '@kms/merkle';
import { startTestPostgres, waitFor, type TestDatabase, type TestPostgres } from '@kms/testing';
import pg from 'pg';
import { checkpoint, logPolicy, sizeOf } from './log.ts';
import { ROOT, Suite } from './suite.ts';

const SERVICES = ['gateway', 'vault', 'audit'] as const;
type Service = (typeof SERVICES)[number];

let postgres: TestPostgres;
let databases: Record<Service, TestDatabase>;
let suite: Suite;
let policy: CheckpointPolicy;

beforeAll(async () => {
  postgres = await startTestPostgres();
  databases = {} as Record<Service, TestDatabase>;
  const variables: Record<string, string> = {};
  for (const service of SERVICES) {
    const database = await postgres.createDatabase();
    databases[service] = database;
    variables[`DATABASE_URL_${service.toUpperCase()}`] = database.serviceUrl;
    variables[`OWNER_DATABASE_URL_${service.toUpperCase()}`] = database.ownerUrl;
  }
  suite = await Suite.make(variables);
  await suite.start();
}, 60_000);

afterAll(async () => {
  await suite.remove();
  await postgres.stop();
}, 30_000);

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return work(client).finally(() => client.end());
}

const query = <Row extends pg.QueryResultRow>(service: Service, text: string) =>
  withClient(databases[service].superuserUrl, async (client) => (await client.query<Row>(text)).rows);
const numberOf = async (service: Service, text: string) => Number((await query<{ number: string }>(service, text))[0]?.number);

const inJournal = (service: Service) =>
  numberOf(service, 'SELECT coalesce(sum(last_sequence - first_sequence + 1), 0) AS number FROM journal_blocks');
const inLedger = () => numberOf('audit', 'SELECT count(*) AS number FROM ledger_records');
const signed = () => numberOf('audit', 'SELECT coalesce(max(size), 0) AS number FROM ledger_checkpoints');
/** Asked of the databases: a call would be a record of its own. */
const isAllSigned = async () => {
  const written = (await inJournal('gateway')) + (await inJournal('vault'));
  return (await inLedger()) === written && (await signed()) === written;
};

const nameOf = (service: Service) => new URL(databases[service].serviceUrl).pathname.slice(1);
const asServer = (...statements: string[]) =>
  withClient(postgres.superuserUrl, async (client) => {
    for (const statement of statements) await client.query(statement);
  });
/** A copy of a service's database while nobody uses it, as a backup is. */
const backUp = (service: Service) =>
  asServer(`CREATE DATABASE ${nameOf(service)}_backup TEMPLATE ${nameOf(service)} OWNER ${nameOf(service)}_owner`);
/** Puts it in the place of what there is. */
const restore = (service: Service) =>
  asServer(`DROP DATABASE ${nameOf(service)}`, `ALTER DATABASE ${nameOf(service)}_backup RENAME TO ${nameOf(service)}`);

async function reveal(times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) expect((await suite.reveal('kept')).status).toBe(200);
}

const bytes = (base64: string) => Buffer.from(base64, 'base64');

/** The proof of a reveal's record, as an auditor has it. */
async function proofOf(id: string) {
  const answer = await waitFor('the proof', async () => {
    const { status, body } = await suite.call('GET', `/audit/proof/${id}.json`);
    return status === 200 ? (body as unknown as { record: string; index: number; proof: string[]; checkpoint: string }) : null;
  }, 30_000); // prettier-ignore
  return { record: bytes(answer.record), index: answer.index, proof: answer.proof.map(bytes), checkpoint: Buffer.from(answer.checkpoint) };
}

describe('a database that is restored to an earlier state', () => {
  it('of the audit service: gets back from the journals what it lost, and signs nothing that is not what was signed', async () => {
    await suite.create('kept', 'content');
    const id = (await suite.reveal('kept')).headers.get('audit-record')?.slice(0, 24) as string;
    policy = await logPolicy(suite);
    const proof = await proofOf(id);
    await waitFor('all to be signed', isAllSigned, 30_000);
    await suite.stop();
    for (const service of ['audit', 'vault'] as const) await backUp(service);
    const backedUp = await inLedger();

    await suite.start();
    await reveal(5);
    await suite.create('later', 'content');
    await waitFor('all to be signed', isAllSigned, 30_000);
    const last = (await query<{ note: Buffer }>('audit', 'SELECT note FROM ledger_checkpoints ORDER BY size DESC LIMIT 1'))[0]
      ?.note as Buffer;
    expect(openCheckpoint(last, policy).checkpoint.size).toBe(backedUp + 6);
    await suite.stop();
    await restore('audit');
    expect(await inLedger()).toBe(backedUp);

    await suite.start();
    await waitFor('what was lost', async () => (await inLedger()) === backedUp + 6, 30_000);
    await reveal(1);
    await waitFor('all to be signed', isAllSigned, 30_000);
    const sizes = await query<{ size: string }>('audit', `SELECT size FROM ledger_checkpoints WHERE size > ${backedUp} ORDER BY number`);
    for (const { size } of sizes) expect(Number(size)).toBeGreaterThanOrEqual(backedUp + 6);

    // An auditor with the last checkpoint of before, and one with a proof of before, are shown that nothing has changed.
    const next = await waitFor('the newest checkpoint', () => checkpoint(suite), 30_000);
    for (const old of [last, proof.checkpoint]) {
      const from = openCheckpoint(old, policy).checkpoint.size;
      const { body } = await suite.call('GET', `/audit/consistency.json?from=${from}&to=${sizeOf(next)}`);
      const evidence = { old, next: Buffer.from(next), proof: (body['proof'] as string[]).map(bytes) };
      expect(verifyConsistency(evidence, policy).checkpoint.size).toBe(sizeOf(next));
    }
    verifyInclusion(proof, policy);
    const again = await proofOf(id);
    verifyInclusion(again, policy);
    expect([again.index, again.record]).toEqual([proof.index, proof.record]);
    expect((await suite.call('GET', '/audit/completeness.json')).body['writers']).toEqual(
      expect.not.arrayContaining([expect.objectContaining({ complete: false })]),
    );
  }, 180_000);

  it('of the vault: goes on from there under a new writer, and the ledger still has the records of what was lost', async () => {
    await waitFor('all to be signed', isAllSigned, 30_000);
    const before = await inLedger();
    await suite.stop();
    await restore('vault');
    await suite.start();
    expect((await suite.reveal('kept')).body).toEqual({ content: 'content' });
    expect((await suite.reveal('later')).status).toBe(404);
    const isRecorded = async () =>
      (await suite.count('handler=later&outcome=success')) === 1 && (await suite.count('handler=kept&outcome=success')) === 9;
    await waitFor('the records', isRecorded, 30_000);
    expect(await inLedger()).toBeGreaterThan(before);
    const writers = await query<{ writers: string[] }>('vault', 'SELECT array_agg(id) AS writers FROM journal_writers');
    const env = {
      PATH: process.env['PATH'],
      DATABASE_URL_GATEWAY: databases.gateway.superuserUrl,
      DATABASE_URL_VAULT: databases.vault.superuserUrl,
      DATABASE_URL_AUDIT: databases.audit.superuserUrl,
      KAFKA_BROKERS: (await suite.brokers()).join(','),
    };
    const fsck = ['apps/cli/bin/kms-audit.mjs', 'fsck', '--key', String(keyOf())];
    const { status, stdout } = spawnSync(process.execPath, fsck, { cwd: ROOT, env, encoding: 'utf8' });
    const [, writer] = /Event ([0-9a-f]{24})\/[0-9]+ is in the ledger and was never committed/.exec(stdout) ?? [];
    expect([status, stdout, writers[0]?.writers.includes(writer as string)]).toEqual([1, expect.stringMatching(/^bad: /), false]);
  }, 180_000);
});

/** The log's public key, as the launcher says it at a start. */
const keyOf = () => /The audit log is signed by (\S+) /.exec(suite.output)?.[1];

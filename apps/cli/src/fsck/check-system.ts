import { openCheckpoint, parseCheckpoint, parseNote, type TreeHead } from '@kms/merkle';
import { withClient } from '@kms/postgres';
import type { TopicReader } from '../kafka/topic-reader.ts';
import type { PolicyOf } from '../log-policy.ts';
import { BadEvidence } from './bad-evidence.ts';
import { checkLog } from './check-log.ts';
import { requireParked } from './check-parked.ts';
import { checkWriter, NOTHING_RETIRED } from './check-writer.ts';
import { compareTopic } from './compare-topic.ts';
import { nextLook, requireTime } from './next-look.ts';
import { Snapshot } from './snapshot.ts';
import { readBlocks, readLog, readOrganizations, readRecords, readRetiredEvents, readUncommitted, readWriters } from './sources.ts';

/** Where the three places are. */
export interface SystemSettings {
  /** The databases of gateway and vault. */
  journals: readonly string[];
  ledger: string;
  /** How long what was committed may be under way to the ledger, in milliseconds. */
  graceMs: number;
  /** Without, the checkpoints' signatures are not checked. */
  policyOf: PolicyOf | undefined;
  /** Null where the topic is left out. */
  topic: TopicReader | null;
}

/**
 * Makes all checks, and answers what there was. Rejects with `BadEvidence` for the first thing that is wrong; with `CannotRunError` where Kafka does
 * not answer or `signal` is aborted; with `StartupError`, or PostgreSQL's error, where a database cannot be read.
 */
export async function checkSystem(settings: SystemSettings, signal: AbortSignal): Promise<string> {
  const bounds = await readBounds(settings);
  await untilArrived(settings, bounds, signal);
  // The ledger as it is now, and then the journals: what the ledger holds was committed before, so the journals of later have it.
  const checkLedger = async (ledger: Snapshot) => {
    const counts = await checkJournals(settings, ledger, bounds, signal);
    return { ...counts, ...(await checkLogs(settings, ledger, signal)) };
  };
  const counts = await Snapshot.with(settings.ledger, checkLedger, 'ledger_records');
  const { events, writers, parked, records, organizations, checkpoints } = counts;
  const topic = settings.topic === null ? 'the topic was left out' : describe(await compareTopic(settings.topic, settings, signal));
  const signed = settings.policyOf === undefined ? ' (signatures were not checked without a --key)' : '';
  return (
    `${events} events of ${writers} writers were committed; the ledger has ${records} records of ${organizations} organizations, ` +
    `${parked} of them parked messages, under ${checkpoints} checkpoints${signed}; ${topic}`
  );
}

/** What each writer had committed when the look began. */
async function readBounds({ journals }: SystemSettings): Promise<ReadonlyMap<string, number>> {
  const maps = [];
  for (const url of journals) maps.push(await Snapshot.with(url, readWriters));
  return new Map(maps.flatMap((map) => [...map]));
}

const ARRIVED = `
  SELECT ((SELECT count(*) FROM ledger_records WHERE writer = $1 AND sequence <= $2) +
          (SELECT coalesce(sum(events), 0) FROM retired_writers WHERE writer = $1))::float8 AS count`;

/** Waits until the ledger has as many events of each writer as were committed, at most for the grace: what is missing then is missing. */
async function untilArrived({ ledger, graceMs }: SystemSettings, bounds: ReadonlyMap<string, number>, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + graceMs;
  const waiting = new Map(bounds);
  await withClient(ledger, async (client) => {
    await client.query('SET default_transaction_read_only = on');
    for (;;) {
      for (const [writer, last] of waiting) {
        const { rows } = await client.query<{ count: number }>(ARRIVED, [writer, last]);
        if ((rows[0]?.count ?? 0) >= last) waiting.delete(writer);
      }
      if (waiting.size === 0 || performance.now() >= deadline) return;
      await nextLook(signal);
    }
  });
}

async function checkJournals(
  { journals }: SystemSettings,
  ledger: Snapshot,
  bounds: ReadonlyMap<string, number>,
  signal: AbortSignal,
): Promise<{ events: number; writers: number; parked: number }> {
  const known: string[] = [];
  const retired = await readRetiredEvents(ledger);
  let [events, parked] = [0, 0];
  for (const url of journals) {
    await Snapshot.with(url, async (journal) => {
      for (const writer of (await readWriters(journal)).keys()) {
        requireTime(signal);
        known.push(writer);
        const [blocks, records] = [readBlocks(journal, writer), readRecords(ledger, writer)];
        events += await checkWriter(writer, blocks, records, bounds.get(writer) ?? 0, retired.get(writer) ?? NOTHING_RETIRED);
      }
    });
  }
  const gone = [...bounds.keys()].find((writer) => !known.includes(writer));
  if (gone !== undefined) throw new BadEvidence(`The journal has no writer ${gone} any more.`);
  for await (const record of readUncommitted(ledger, known)) {
    requireParked(record);
    parked += 1;
  }
  return { events, writers: known.length, parked };
}

async function checkLogs(
  { policyOf }: SystemSettings,
  ledger: Snapshot,
  signal: AbortSignal,
): Promise<{ records: number; organizations: number; checkpoints: number }> {
  const organizations = await readOrganizations(ledger);
  const total = { records: 0, organizations: organizations.length, checkpoints: 0 };
  for (const organizationId of organizations) {
    requireTime(signal);
    const { records, checkpoints } = await checkLog(organizationId, readLog(ledger, organizationId), opener(organizationId, policyOf));
    total.records += records;
    total.checkpoints += checkpoints;
  }
  return total;
}

/** Reads a checkpoint; believes it only by the keys, where there are any. */
function opener(organizationId: string, policyOf: PolicyOf | undefined): (note: Buffer) => TreeHead {
  if (policyOf === undefined) return (note) => parseCheckpoint(parseNote(note).text);
  return (note) => openCheckpoint(note, policyOf(organizationId)).checkpoint;
}

const describe = ({ messages, parked }: { messages: number; parked: number }) =>
  `${messages} messages are on the topic, ${parked} of them parked`;

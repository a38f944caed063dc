import { TopicMissingError, type PartitionBounds } from '@kms/kafka';
import { withClient } from '@kms/postgres';
import type pg from 'pg';
import { CannotRunError } from '../command.ts';
import type { TopicReader } from '../kafka/topic-reader.ts';
import { checkMessages, type LiveDatabases } from './check-topic.ts';
import { nextLook } from './next-look.ts';

/** How long the topic may give nothing though it has something, in milliseconds. */
const PATIENCE_MS = 60_000;

/** Where the databases are, and how long a message may be under way to the ledger. */
interface Settings {
  journals: readonly string[];
  ledger: string;
  graceMs: number;
}

/**
 * Holds every message that the topic has now against what was committed, and answers how many there were. Rejects with `BadEvidence` for the first
 * that was not; with {@link CannotRunError} where Kafka does not answer.
 */
export async function compareTopic(
  topic: TopicReader,
  { ledger, journals, graceMs }: Settings,
  signal: AbortSignal,
): Promise<{ messages: number; parked: number }> {
  const ends = await topic.bounds().catch((error: unknown) => {
    throw new CannotRunError(error instanceof TopicMissingError ? error.message : `Kafka does not answer: ${(error as Error).message}`);
  });
  const deadline = performance.now() + graceMs;
  const isPatient = async () => {
    if (performance.now() >= deadline) return false;
    await nextLook(signal);
    return true;
  };
  return withReaders([ledger, ...journals], ([ledgerClient, ...journalClients]) =>
    readAll(topic, ends, { ledger: ledgerClient as pg.ClientBase, journals: journalClients }, isPatient, signal),
  );
}

async function readAll(
  topic: TopicReader,
  ends: ReadonlyMap<number, PartitionBounds>,
  databases: LiveDatabases,
  isPatient: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<{ messages: number; parked: number }> {
  const counts = { messages: 0, parked: 0 };
  let failure: unknown;
  topic.start(
    new Map([...ends].map(([partition, { low }]) => [partition, low])),
    async (batch) => {
      if (failure !== undefined) return;
      try {
        counts.parked += await checkMessages(batch, databases, isPatient);
        counts.messages += batch.messages.length;
      } catch (error) {
        failure = error;
      }
    },
    (error) => (failure ??= new CannotRunError(`The topic cannot be read: ${error.message}`)),
  );
  let [seen, since] = [0, performance.now()];
  while (failure === undefined && !topic.hasReached(ends)) {
    await nextLook(signal);
    if (counts.messages !== seen) [seen, since] = [counts.messages, performance.now()];
    else if (performance.now() - since > PATIENCE_MS) throw new CannotRunError('The topic gives no messages, though it has some.');
  }
  if (failure !== undefined) throw failure;
  return counts;
}

/** Connects to all of the databases, read only. */
async function withReaders<T>(
  urls: readonly string[],
  work: (clients: pg.ClientBase[]) => Promise<T>,
  clients: pg.ClientBase[] = [],
): Promise<T> {
  const [url, ...rest] = urls;
  if (url === undefined) return work(clients);
  return withClient(url, async (client) => {
    await client.query('SET default_transaction_read_only = on');
    return withReaders(rest, work, [...clients, client]);
  });
}

import { AUDIT_CONTENT_TYPE, AUDIT_TOPIC, LedgerCall, organizationOf, type WatermarksReply } from '@kms/contracts';
import { Journal, Relay, type RelayStep } from '@kms/journal';
import { KafkaPublisher, type KafkaConnection } from '@kms/kafka';
import { TroubleLog, type Logger } from '@kms/platform';
import { PostgresJournalStore, PostgresRelayStore, type FenceTable } from '@kms/postgres';
import type { BalancedClient } from '@kms/rpc';
import type pg from 'pg';

export interface OutboxSettings {
  /** How the service names itself to Kafka. */
  service: string;
  /** The service's database, which holds its journal. */
  url: string;
  kafka: KafkaConnection;
  /** The audit service. It stays the caller's to close, after the outbox. */
  ledger: BalancedClient;
  nextId: () => string;
  /** What the journal's fences are looked up in, where the service has any. */
  fenceTable?: FenceTable;
  logger: Logger;
}

/** A service's way of telling events: its journal, and the relay that brings them to the ledger. */
export interface Outbox {
  journal: Journal<pg.ClientBase>;
  /** Finishes what waits in the journal, then ends the relay; what is unsent is sent by the next process. */
  close(): Promise<void>;
}

/** Opens the journal and starts its relay: where their ports meet PostgreSQL, Kafka and the audit service. */
export async function openOutbox({ service, url, kafka, ledger, nextId, fenceTable, logger }: OutboxSettings): Promise<Outbox> {
  const journalTrouble = new TroubleLog({
    logger,
    level: 'error',
    trouble: 'The journal cannot commit; it tries again.',
    over: 'The journal commits again.',
  });
  const relayTroubles = {
    adopt: relayTrouble(logger, 'adopt'),
    publish: relayTrouble(logger, 'publish'),
    watermark: relayTrouble(logger, 'watermark'),
  };
  const publisher = new KafkaPublisher({
    connection: kafka,
    clientId: `kms-${service}`,
    logger,
    topic: AUDIT_TOPIC,
    contentType: AUDIT_CONTENT_TYPE,
  });
  const relay = new Relay({
    store: new PostgresRelayStore({ url }),
    publisher,
    ledger: { watermarks: async (writers) => (await ledger.call<WatermarksReply>(LedgerCall.Watermarks, { writers })).watermarks },
    keyOf: organizationOf,
    onFailure: (step, error) => relayTroubles[step].failed(error),
    onSuccess: (step) => relayTroubles[step].worked(),
  });
  const journal = new Journal<pg.ClientBase>({
    store: new PostgresJournalStore({ url, nextId, ...(fenceTable && { fenceTable }) }),
    onCommitted: (block) => {
      journalTrouble.worked();
      relay.committed(block);
    },
    onFailure: (error) => journalTrouble.failed(error),
  });
  await journal.open();
  relay.start();
  return {
    journal,
    async close() {
      await journal.close();
      await relay.stop();
      await publisher.close();
    },
  };
}

const RELAY_TROUBLES: Record<RelayStep, string> = {
  adopt: 'The relay cannot look for orphaned writers',
  publish: 'The relay cannot send',
  watermark: 'The relay cannot ask the ledger',
};

const relayTrouble = (logger: Logger, step: RelayStep) =>
  new TroubleLog({ logger, level: 'warn', trouble: `${RELAY_TROUBLES[step]}; it tries again.`, over: `The relay goes on: ${step}.` });

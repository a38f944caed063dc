import { AUDIT_CONTENT_TYPE, AUDIT_TOPIC, LedgerCall, organizationOf, type SettleParkedReply, type WatermarksReply } from '@kms/contracts';
import { Journal, Relay, type JournalOptions, type RelayStep } from '@kms/journal';
import { KafkaPublisher, type KafkaConnection } from '@kms/kafka';
import { TroubleLog, type Logger, type Metrics, type Monitor } from '@kms/platform';
import { PostgresJournalStore, PostgresRelayStore, type FenceTable } from '@kms/postgres';
import type { BalancedClient } from '@kms/rpc';
import type pg from 'pg';
import { ObservedStore, observePublisher, RelaySteps } from './observed.ts';
import { EventTraces, TracedJournal, tracePublisher } from './traced.ts';
import { TailWatch, type TailState } from './tail-watch.ts';

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
  /** Shows the journal's and the relay's progress. */
  monitor: Monitor;
}

/** A service's way of telling events: its journal, and the relay that brings them to the ledger. */
export interface Outbox {
  journal: Journal<pg.ClientBase>;
  /** Finishes what waits in the journal, then ends the relay; what is unsent is sent by the next process. */
  close(): Promise<void>;
}

/** Opens the journal and starts its relay: where their ports meet PostgreSQL, Kafka and the audit service. */
export async function openOutbox({ service, url, kafka, ledger, nextId, fenceTable, logger, monitor }: OutboxSettings): Promise<Outbox> {
  const { metrics, tracer } = monitor;
  const traces = new EventTraces();
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
    check: relayTrouble(logger, 'check'),
  };
  const publisher = new KafkaPublisher({
    connection: kafka,
    clientId: `kms-${service}`,
    logger,
    topic: AUDIT_TOPIC,
    contentType: AUDIT_CONTENT_TYPE,
  });
  const steps = new RelaySteps(metrics);
  const relay = new Relay({
    store: new PostgresRelayStore({ url }),
    publisher: observePublisher(tracer.isOn ? tracePublisher(publisher, tracer, traces) : publisher, metrics),
    ledger: {
      watermarks: async (writers) => (await ledger.call<WatermarksReply>(LedgerCall.Watermarks, { writers })).watermarks,
      settleParked: async (writer, events) => (await ledger.call<SettleParkedReply>(LedgerCall.SettleParked, { writer, events })).parked,
    },
    keyOf: organizationOf,
    onFailure: (step, error) => {
      steps.failed(step);
      relayTroubles[step].failed(error);
    },
    onSuccess: (step) => {
      steps.worked();
      relayTroubles[step].worked();
    },
  });
  const tail = new TailWatch();
  const store = new ObservedStore(new PostgresJournalStore({ url, nextId, ...(fenceTable && { fenceTable }) }), metrics, tracer);
  const options: JournalOptions<pg.ClientBase> = {
    store,
    onCommitted: (block) => {
      journalTrouble.worked();
      tail.committed(block);
      relay.committed(block);
    },
    onFailure: (error) => journalTrouble.failed(error),
  };
  const journal = tracer.isOn ? new TracedJournal(options, tracer, traces) : new Journal(options);
  await journal.open();
  showTail(metrics, () => tail.look(relay.standings));
  metrics.gauge('kms_journal_queued', 'Appends and changes that wait for their commit', () => [{ value: journal.queued }]);
  monitor.health.require('journal', () => journal.writer !== null);
  monitor.health.progress('journal', () => ({ hasWork: journal.queued > 0, attempts: store.attempts }));
  monitor.health.progress('relay', () => ({ hasWork: tail.look(relay.standings).events > 0, attempts: steps.attempts }));
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

function showTail(metrics: Metrics, look: () => TailState): void {
  metrics.gauge('kms_journal_tail_events', 'Committed events that the ledger is not known to hold', () => [{ value: look().events }]);
  metrics.gauge('kms_journal_unsent_events', 'Committed events that were not sent to the topic', () => [{ value: look().unsent }]);
  metrics.gauge('kms_relay_lag_seconds', 'Age of the oldest event that was not sent', () => [{ value: look().relayLag }]);
  metrics.gauge('kms_ledger_lag_seconds', 'Age of the oldest event that the ledger is not known to hold', () => [
    { value: look().ledgerLag },
  ]);
}

const RELAY_TROUBLES: Record<RelayStep, string> = {
  adopt: 'The relay cannot look for orphaned writers',
  publish: 'The relay cannot send',
  watermark: 'The relay cannot ask the ledger',
  check: 'The relay cannot look whether the ledger still holds what it had',
};

const relayTrouble = (logger: Logger, step: RelayStep) =>
  new TroubleLog({ logger, level: 'warn', trouble: `${RELAY_TROUBLES[step]}; it tries again.`, over: `The relay goes on: ${step}.` });

import 'reflect-metadata';
import { AUDIT_TOPIC, CHECKPOINT_CONTENT_TYPE, CHECKPOINT_TOPIC } from '@kms/contracts';
import { KafkaPublisher, kafkaConnection, TopicConsumer } from '@kms/kafka';
import { KeptFiles, loadConfiguration, runService } from '@kms/platform';
import { assertServiceSchema, createPool, tracePool } from '@kms/postgres';
import { ErrorsToTransport, FramesServer, observeCalls } from '@kms/rpc';
import { NestFactory } from '@nestjs/core';
import { AuditConfiguration, witnessesOf } from './audit.config.ts';
import { AuditModule } from './audit.module.ts';
import { openLogKeys } from './checkpoint/log-key-file.ts';
import { PublishCheckpoints } from './checkpoint/publish-checkpoints.ts';
import { SendCheckpoints } from './checkpoint/send-checkpoints.ts';
import { showCheckpoints } from './checkpoint/show-checkpoints.ts';
import { CheckChains } from './completeness/check-chains.ts';
import { WatchUnsigned } from './checkpoint/unsigned-age.ts';
import { AppendBatch } from './ingest/append-batch.ts';
import { ObservedIngest } from './ingest/observed-ingest.ts';
import { AUDIT_MIGRATIONS } from './migrations/index.ts';

await runService('audit', async (logger, fail, monitor) => {
  const configuration = loadConfiguration(AuditConfiguration, process.env);
  const {
    DATABASE_URL: url,
    RPC_HOST: host,
    RPC_PORT: port,
    RPC_SECRET: secret,
    OPERATOR_ORGANIZATION_ID: operatorOrganizationId,
    LOG_KEY: logKeys,
    LOG_WRAPPING_KEY: wrappingKey,
    LOG_STATE_DIRECTORY: stateDirectory,
  } = configuration;
  const witnesses = witnessesOf(configuration);
  const connection = kafkaConnection(process.env);
  const keys = await openLogKeys(logKeys, process.env['LOG_KEY_FILE'] || undefined, wrappingKey, logger);
  await monitor.listen(configuration);
  await assertServiceSchema(url, AUDIT_MIGRATIONS);
  const kept = new KeptFiles(stateDirectory);
  await kept.prepare();
  const pool = createPool(url, (error) => logger.warn({ err: error }, 'An idle database connection was lost.'));
  tracePool(pool, monitor.tracer);

  const strategy = new FramesServer({ host, port, secret, logger, onCall: observeCalls(monitor.metrics), tracer: monitor.tracer });
  const app = await NestFactory.createMicroservice(AuditModule.with(pool, keys, witnesses), {
    strategy,
    logger: false,
    abortOnError: false,
  });
  app.useGlobalFilters(new ErrorsToTransport());
  await app.listen();

  const appending = new AppendBatch({ pool, operatorOrganizationId, logger, now: () => new Date() });
  monitor.metrics.counts('kms_ingest_parked_messages_total', 'Messages that are no event, by why', 'reason', appending.parked);
  const ingest = new ObservedIngest(appending, monitor.metrics, monitor.tracer);
  const consumer = new TopicConsumer({
    connection,
    clientId: 'kms-audit',
    groupId: 'kms-audit',
    topic: AUDIT_TOPIC,
    handler: ingest,
    logger,
    fail,
    onLag: (messages) => (ingest.lag = messages),
  });
  consumer.start();
  logger.info({ logKeys: keys.verifierKeys, witnesses: witnesses.verifierKeys, quorum: witnesses.quorum }, 'Checkpoints are signed.');
  const checkpoints = new PublishCheckpoints({ pool, keys, kept, witnesses, logger, now: () => new Date() });
  checkpoints.start();
  const chains = new CheckChains({ pool, logger, now: () => new Date() });
  chains.start();
  const publisher = new KafkaPublisher({
    connection,
    clientId: 'kms-audit',
    logger,
    topic: CHECKPOINT_TOPIC,
    contentType: CHECKPOINT_CONTENT_TYPE,
  });
  const sender = new SendCheckpoints({ pool, publisher, logger });
  sender.start();
  const watch = new WatchUnsigned({ pool, logger });
  watch.start();
  showCheckpoints(monitor.metrics, pool, checkpoints);
  const { metrics } = monitor;
  metrics.gauge('kms_chain_breaks', 'Events in the ledger that do not follow from the one before', () => [{ value: chains.chainBreaks }]);
  metrics.gauge('kms_parked_events', 'Events that are in the ledger as parked messages only', () => [{ value: chains.parkedEvents }]);
  metrics.gauge('kms_writers_with_old_gaps', 'Writers of which events are missing for more than a minute', () => [
    { value: chains.writersWithOldGaps },
  ]);
  monitor.health.require('database', () => pool.query('SELECT 1'));
  monitor.health.progress('ingest', () => ({ hasWork: ingest.lag > 0, attempts: ingest.attempts }));
  monitor.health.progress('checkpoints', () => ({ hasWork: true, attempts: checkpoints.rounds }));
  monitor.health.progress('sent-checkpoints', () => ({ hasWork: true, attempts: sender.rounds }));
  return {
    ready: { rpcPort: strategy.port, logKeys: keys.verifierKeys },
    async stop() {
      // The consumer first: nothing may arrive for a database that is gone.
      await consumer.stop();
      await checkpoints.stop();
      await chains.stop();
      await watch.stop();
      await sender.stop();
      await publisher.close();
      await app.close();
      await pool.end();
    },
  };
});

import { randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import {
  AUDIT_CONTENT_TYPE,
  AUDIT_TOPIC,
  createIdGenerator,
  LedgerCall,
  MAX_BODY_BYTES,
  organizationOf,
  type WatermarksReply,
} from '@kms/contracts';
import { Journal, Relay } from '@kms/journal';
import { KafkaPublisher } from '@kms/kafka';
import type { Logger } from '@kms/platform';
import { createPool, PostgresJournalStore, PostgresRelayStore } from '@kms/postgres';
import { RpcClient } from '@kms/rpc';
import type { DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { AnswerErrors } from './answer-errors.ts';
import { AuditController, LEDGER } from './audit/audit.controller.ts';
import { Recorder } from './audit/recorder.ts';
import { ApiKeyStore } from './authenticate/api-key-store.ts';
import { guardRoutes } from './authenticate/authenticate.ts';
import { ConnectionController } from './connection.controller.ts';
import type { GatewayConfiguration } from './gateway.config.ts';
import { InventoryController, KmsController } from './kms/kms.controller.ts';
import { PolicyCache } from './kms/policy-cache.ts';
import { RevealSecret } from './kms/reveal-secret.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** When the request's headers were read, on the clock of `performance.now()`. */
    receivedAt: number;
  }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;
/** Longest handler in a path that is taken in (to be refused and recorded); a longer one is no route of ours. */
const MAX_PARAM_LENGTH = 256;

export interface GatewayParts {
  app: NestFastifyApplication;
  close(): Promise<void>;
}

export class GatewayModule {}

/** Connects the gateway's parts and opens its journal: where ports meet adapters. The answered app does not listen yet. */
export async function assembleGateway(configuration: GatewayConfiguration, brokers: () => string[], logger: Logger): Promise<GatewayParts> {
  const { DATABASE_URL: url, RPC_SECRET: secret } = configuration;
  const pool = createPool(url, (error) => logger.warn({ err: error }, 'An idle database connection was lost.'));
  const nextId = createIdGenerator({ now: Date.now, randomBytes });
  const vault = new RpcClient({ ...configuration.VAULT_ENDPOINT, secret, logger });
  const ledger = new RpcClient({ ...configuration.LEDGER_ENDPOINT, secret, logger });
  const publisher = new KafkaPublisher({ brokers, clientId: 'kms-gateway', logger, topic: AUDIT_TOPIC, contentType: AUDIT_CONTENT_TYPE });
  const relay = new Relay({
    store: new PostgresRelayStore({ url }),
    publisher,
    ledger: { watermarks: async (writers) => (await ledger.call<WatermarksReply>(LedgerCall.Watermarks, { writers })).watermarks },
    keyOf: organizationOf,
    onFailure: (step, error) => logger.warn({ err: error, step }, 'The relay cannot go on; it tries again.'),
  });
  const journal = new Journal<never>({
    store: new PostgresJournalStore({ url, nextId }) as never,
    onCommitted: (writer) => relay.committed(writer),
    onFailure: (error) => logger.error({ err: error }, 'The journal could not commit.'),
  });
  await journal.open();
  relay.start();

  const module: DynamicModule = {
    module: GatewayModule,
    controllers: [KmsController, InventoryController, AuditController, ConnectionController],
    providers: [
      KmsController,
      { provide: RevealSecret, useValue: new RevealSecret({ vault, policies: new PolicyCache(vault), journal, nextId }) },
      { provide: Recorder, useValue: new Recorder(journal, nextId) },
      { provide: LEDGER, useValue: ledger },
    ],
  };
  const app = await createApp(module, logger);
  guardRoutes(app.getHttpAdapter().getInstance(), {
    keys: new ApiKeyStore(pool),
    journal,
    pepper: configuration.API_KEY_PEPPER,
    isTrustedProxy: configuration.TRUSTED_PROXIES,
    operatorOrganizationId: configuration.OPERATOR_ORGANIZATION_ID,
    nextId,
  });
  return {
    app,
    async close() {
      await app.close();
      await journal.close();
      await relay.stop();
      await Promise.all([publisher.close(), vault.close(), ledger.close(), pool.end()]);
    },
  };
}

async function createApp(module: DynamicModule, logger: Logger): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter({
    bodyLimit: MAX_BODY_BYTES,
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    genReqId: ({ headers }: IncomingMessage) => {
      const given = headers['x-request-id'];
      return typeof given === 'string' && UUID.test(given) ? given : randomUUID();
    },
  });
  const app = await NestFactory.create<NestFastifyApplication>(module, adapter, { logger: false, abortOnError: false });
  app.useGlobalFilters(new AnswerErrors(logger));
  const server = app.getHttpAdapter().getInstance();
  server.decorateRequest('receivedAt', 0);
  server.addHook('onRequest', (request, _reply, done) => {
    request.receivedAt = performance.now();
    done();
  });
  return app;
}

import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { createIdGenerator, MAX_BODY_BYTES } from '@kms/contracts';
import type { KafkaConnection } from '@kms/kafka';
import { openOutbox } from '@kms/outbox';
import type { Logger, Metrics, Monitor } from '@kms/platform';
import { createPool, tracePool } from '@kms/postgres';
import { BalancedClient } from '@kms/rpc';
import type { DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { AnswerErrors } from './answer-errors.ts';
import { AuditController, LEDGER } from './audit/audit.controller.ts';
import { LogController } from './audit/log.controller.ts';
import { Recorder } from './audit/recorder.ts';
import { ApiKeyStore } from './authenticate/api-key-store.ts';
import { Gate, type GateDependencies } from './authenticate/gate.ts';
import { guardRoutes } from './authenticate/guard-routes.ts';
import { requestIdOf } from './authenticate/request-context.ts';
import { ConnectionController } from './connection.controller.ts';
import type { GatewayConfiguration } from './gateway.config.ts';
import { KmsController } from './kms/kms.controller.ts';
import { PolicyCache, type Peer } from './kms/policy-cache.ts';
import { openRevealLane } from './kms/reveal-lane.ts';
import { routeReveals } from './kms/reveal-route.ts';
import { RevealSecret } from './kms/reveal-secret.ts';
import { timeRoutes } from './time-requests.ts';
import { traceRequests } from './trace-requests.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** When the request's headers were read, on the clock of `performance.now()`. */
    receivedAt: number;
  }
}

/** Longest handler in a path that is taken in (to be refused and recorded); a longer one is no route of ours. */
const MAX_PARAM_LENGTH = 256;

export interface GatewayParts {
  app: NestFastifyApplication;
  close(): Promise<void>;
}

export class GatewayModule {}

/** Connects the gateway's parts and opens its journal: where ports meet adapters. The answered app does not listen yet. */
export async function assembleGateway(
  configuration: GatewayConfiguration,
  kafka: KafkaConnection,
  logger: Logger,
  monitor: Monitor,
): Promise<GatewayParts> {
  const { DATABASE_URL: url, RPC_SECRET: secret } = configuration;
  const pool = createPool(url, (error) => logger.warn({ err: error }, 'An idle database connection was lost.'));
  tracePool(pool, monitor.tracer);
  const nextId = createIdGenerator({ now: Date.now, randomBytes });
  const vault = new BalancedClient({ endpoints: configuration.VAULT_ENDPOINT, secret, logger, tracer: monitor.tracer });
  const ledger = new BalancedClient({ endpoints: configuration.LEDGER_ENDPOINT, secret, logger, tracer: monitor.tracer });
  const outbox = await openOutbox({ service: 'gateway', url, kafka, ledger, nextId, logger, monitor });
  const { journal } = outbox;
  const policies = new PolicyCache(vault);
  const reveals = new RevealSecret({ vault, policies, journal, nextId });
  const keys = new ApiKeyStore(pool);
  const module = gatewayModule({ reveals, recorder: new Recorder(journal, nextId), ledger });
  const app = await createApp(module, reveals, logger, monitor.metrics, {
    keys,
    journal,
    pepper: configuration.API_KEY_PEPPER,
    isTrustedProxy: configuration.TRUSTED_PROXIES,
    operatorOrganizationId: configuration.OPERATOR_ORGANIZATION_ID,
    nextId,
  });
  traceRequests(app.getHttpAdapter().getInstance(), app.getHttpServer(), monitor.tracer);
  monitor.metrics.counts('kms_reveals_total', 'Reveals by how they ended', 'outcome', reveals.outcomes);
  monitor.metrics.cache('policy', policies.lookups);
  monitor.metrics.cache('api-key', keys.lookups);
  monitor.health.require('database', () => pool.query('SELECT 1'));
  monitor.health.require('vault', () => vault.isUp);
  return {
    app,
    async close() {
      await app.close();
      await outbox.close();
      await Promise.all([vault.close(), ledger.close(), pool.end()]);
    },
  };
}

/** The controllers with what they need. */
export function gatewayModule({ reveals, recorder, ledger }: { reveals: RevealSecret; recorder: Recorder; ledger: Peer }): DynamicModule {
  return {
    module: GatewayModule,
    controllers: [KmsController, AuditController, LogController, ConnectionController],
    providers: [
      { provide: RevealSecret, useValue: reveals },
      { provide: Recorder, useValue: recorder },
      { provide: LEDGER, useValue: ledger },
    ],
  };
}

/** The HTTP server of a module, with every route guarded. Its routes are taken in when it is initialized. */
export async function createApp(
  module: DynamicModule,
  reveals: RevealSecret,
  logger: Logger,
  metrics: Metrics,
  gateDependencies: GateDependencies,
): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter({
    bodyLimit: MAX_BODY_BYTES,
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    // What comes on an open connection while the server ends is answered as ever, and says that the connection ends.
    return503OnClosing: false,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    genReqId: (request: IncomingMessage) => requestIdOf(request),
  });
  const app = await NestFactory.create<NestFastifyApplication>(module, adapter, { logger: false, abortOnError: false });
  app.useGlobalFilters(new AnswerErrors(logger));
  const server = app.getHttpAdapter().getInstance();
  server.decorateRequest('receivedAt', 0);
  server.addHook('onRequest', (request, _reply, done) => {
    request.receivedAt = performance.now();
    done();
  });
  timeRoutes(server, metrics);
  const gate = new Gate(gateDependencies);
  guardRoutes(server, gate);
  void server.register(async (scope) => routeReveals(scope, reveals));
  server.addHook('preClose', openRevealLane(app.getHttpServer(), { gate, reveals, logger, metrics }));
  return app;
}

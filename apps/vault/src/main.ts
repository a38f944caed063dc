import 'reflect-metadata';
import { VaultCall, type RevealRequest } from '@kms/contracts';
import { kafkaConnection } from '@kms/kafka';
import { loadConfiguration, runService } from '@kms/platform';
import { assertServiceSchema } from '@kms/postgres';
import { ErrorsToTransport, FramesServer, observeCalls } from '@kms/rpc';
import { NestFactory } from '@nestjs/core';
import { VAULT_MIGRATIONS } from './migrations/index.ts';
import { revealSecret } from './reveal/reveal-secret.ts';
import { VaultConfiguration } from './vault.config.ts';
import { assembleVault } from './vault.module.ts';

await runService('vault', async (logger, _fail, monitor) => {
  const configuration = loadConfiguration(VaultConfiguration, process.env);
  await monitor.listen(configuration);
  await assertServiceSchema(configuration.DATABASE_URL, VAULT_MIGRATIONS);
  const parts = await assembleVault(configuration, kafkaConnection(process.env), logger, monitor);
  const { RPC_HOST: host, RPC_PORT: port, RPC_SECRET: secret } = configuration;
  const strategy = new FramesServer({ host, port, secret, logger, onCall: observeCalls(monitor.metrics), tracer: monitor.tracer });
  // The hot path: Nest's pipes, proxies and filters would cost it more than the decryption does.
  strategy.addHandler(VaultCall.Reveal, (request: RevealRequest) => revealSecret(parts.reveals, request));
  const app = await NestFactory.createMicroservice(parts.module, { strategy, logger: false, abortOnError: false });
  app.useGlobalFilters(new ErrorsToTransport());
  await app.listen();
  return {
    ready: { rpcPort: strategy.port },
    async stop() {
      await app.close();
      await parts.close();
    },
  };
});

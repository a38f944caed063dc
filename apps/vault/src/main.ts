import 'reflect-metadata';
import { brokerList } from '@kms/kafka';
import { loadConfiguration, runService } from '@kms/platform';
import { assertServiceSchema } from '@kms/postgres';
import { ErrorsToTransport, FramesServer } from '@kms/rpc';
import { NestFactory } from '@nestjs/core';
import * as migrations from './migrations/index.ts';
import { VaultConfiguration } from './vault.config.ts';
import { assembleVault } from './vault.module.ts';

await runService('vault', async (logger) => {
  const configuration = loadConfiguration(VaultConfiguration, process.env);
  await assertServiceSchema(configuration.DATABASE_URL, [migrations.Initial1764000000000]);
  const parts = await assembleVault(configuration, brokerList(process.env), logger);
  const { RPC_HOST: host, RPC_PORT: port, RPC_SECRET: secret } = configuration;
  const strategy = new FramesServer({ host, port, secret, logger });
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

import 'reflect-metadata';
import { kafkaConnection } from '@kms/kafka';
import { loadConfiguration, runService, StartupError } from '@kms/platform';
import { assertServiceSchema } from '@kms/postgres';
import { GatewayConfiguration } from './gateway.config.ts';
import { assembleGateway } from './gateway.module.ts';
import { Initial1764000000000 } from './migrations/1764000000000-initial.ts';

await runService('gateway', async (logger, _fail, monitor) => {
  const configuration = loadConfiguration(GatewayConfiguration, process.env);
  await monitor.listen(configuration);
  await assertServiceSchema(configuration.DATABASE_URL, [Initial1764000000000]);
  const { app, close } = await assembleGateway(configuration, kafkaConnection(process.env), logger, monitor);
  const { HTTP_HOST: host, PORT: port } = configuration;
  try {
    await app.listen(port, host);
  } catch (error) {
    await close();
    throw (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
      ? new StartupError(`Port ${port} on ${host} is in use.`, { cause: error })
      : error;
  }
  return { ready: { url: await app.getUrl() }, stop: close };
});

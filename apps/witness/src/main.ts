import { access, constants } from 'node:fs/promises';
import { cosigner, COSIGNATURE_V1, NODE_CRYPTOGRAPHY, writeVerifierKey } from '@kms/merkle';
import { KeptFiles, loadConfiguration, runService } from '@kms/platform';
import { Witness } from './add-checkpoint.ts';
import { startServer } from './server.ts';
import { showWitness } from './show-witness.ts';
import { WitnessConfiguration } from './witness.config.ts';

await runService('witness', async (logger, _fail, monitor) => {
  const configuration = loadConfiguration(WitnessConfiguration, process.env);
  const { HTTP_HOST: host, PORT: port, WITNESS_KEY: key, WITNESS_LOGS: logs, WITNESS_STATE_DIRECTORY: directory } = configuration;
  await monitor.listen(configuration);
  const kept = new KeptFiles(directory);
  await kept.prepare();
  const pair = NODE_CRYPTOGRAPHY.ed25519.signingKey(key.seed);
  const signer = cosigner(key.name, pair, () => Math.floor(Date.now() / 1_000));
  const verifierKey = writeVerifierKey({ name: key.name, type: COSIGNATURE_V1.type, publicKey: pair.publicKey });
  const witness = new Witness({ signer, logs, kept, logger, now: () => performance.now() });
  showWitness(monitor, witness);
  monitor.health.require('state', () => access(directory, constants.R_OK | constants.W_OK | constants.X_OK));
  const server = await startServer({ host, port, witness, logger });
  logger.info({ port: server.port, verifierKey }, 'The witness is ready.');
  return { ready: { port: server.port }, stop: () => server.stop() };
});

import { cosigner, COSIGNATURE_V1, NODE_CRYPTOGRAPHY, writeVerifierKey } from '@kms/merkle';
import { KeptFiles, loadConfiguration, runService } from '@kms/platform';
import { Witness } from './add-checkpoint.ts';
import { startServer } from './server.ts';
import { WitnessConfiguration } from './witness.config.ts';

await runService('witness', async (logger) => {
  const configuration = loadConfiguration(WitnessConfiguration, process.env);
  const { HTTP_HOST: host, PORT: port, WITNESS_KEY: key, WITNESS_LOGS: logs, WITNESS_STATE_DIRECTORY: directory } = configuration;
  const kept = new KeptFiles(directory);
  await kept.prepare();
  const pair = NODE_CRYPTOGRAPHY.ed25519.signingKey(key.seed);
  const signer = cosigner(key.name, pair, () => Math.floor(Date.now() / 1_000));
  const verifierKey = writeVerifierKey({ name: key.name, type: COSIGNATURE_V1.type, publicKey: pair.publicKey });
  const server = await startServer({ host, port, witness: new Witness({ signer, logs, kept, logger }), logger });
  logger.info({ port: server.port, verifierKey }, 'The witness is ready.');
  return { ready: { port: server.port }, stop: () => server.stop() };
});

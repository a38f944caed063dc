import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createLogger } from '@kms/platform';
import { startApacheKafka, type TestBroker } from '@kms/testing';
import { ensureTopic, kafkaConnection, KafkaPublisher } from './index.ts';

const TOPIC = { topic: 'kms.secured.v1', partitions: 2, replicationFactor: 1, minInsyncReplicas: 1, retentionMs: 3_600_000 };
const PASSWORD = 'a password of the test';
const logger = createLogger('test');
logger.level = 'silent';

let folder: string;
let broker: TestBroker;

/** The environment of a client that is let in, but for what a test changes. */
const connectionWith = (changes: Record<string, string | undefined> = {}) =>
  kafkaConnection({
    KAFKA_BROKERS: broker.brokers().join(','),
    KAFKA_CA_FILE: join(folder, 'certificate.pem'),
    KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
    KAFKA_SASL_USERNAME: 'kms',
    KAFKA_SASL_PASSWORD: PASSWORD,
    ...changes,
  });

/** A certificate for 127.0.0.1 that vouches for itself, and its key. */
function makeCertificate(): { certificate: string; privateKey: string } {
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  const files = ['-keyout', key, '-out', certificate];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...files, ...subject], { stdio: 'ignore' });
  return { certificate: readFileSync(certificate, 'utf8'), privateKey: readFileSync(key, 'utf8') };
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kms-secured-'));
  broker = await startApacheKafka({ ...makeCertificate(), username: 'kms', password: PASSWORD });
}, 90_000);

afterAll(async () => {
  await broker.stop();
  rmSync(folder, { recursive: true });
}, 30_000);

describe('a broker that asks who is there', () => {
  it('lets in who knows the password, over TLS', async () => {
    const connection = connectionWith();
    await ensureTopic(connection, TOPIC);
    const publisher = new KafkaPublisher({ connection, clientId: 'test', logger, topic: TOPIC.topic, contentType: 'text/plain' });
    await expect(publisher.publish([{ key: 'key', value: Buffer.from('value') }])).resolves.toBeUndefined();
    await publisher.close();
  }, 60_000);

  it.each([
    ['another password', { KAFKA_SASL_PASSWORD: 'another one' }, /authentication/i],
    ['an authority that did not sign', { KAFKA_CA_FILE: undefined, KAFKA_TLS: 'true' }, /self-signed certificate/],
  ])(
    'turns away %s with one sentence that keeps the password to itself',
    async (_what, changes, sentence) => {
      const refused = ensureTopic(connectionWith(changes), TOPIC).catch((error: Error) => error.message);
      expect(await refused).toMatch(sentence);
      expect(await refused).toMatch(/^Kafka cannot be used: [^\n]*\.$/);
      expect(await refused).not.toContain('another one');
    },
    60_000,
  );
});

describe('the audit topic', () => {
  it.each([
    ['partitions', { partitions: 3 }, 'its partitions is 2, and must be 3 or more'],
    ['replicas', { replicationFactor: 2 }, 'its replicas is 1, and must be 2 or more'],
    ['replicas in sync', { minInsyncReplicas: 2 }, 'its min.insync.replicas is 1, and must be 2 or more'],
  ])(
    'is refused where its %s are not what is wanted',
    async (_what, wanted, sentence) => {
      await ensureTopic(connectionWith(), TOPIC);
      await expect(ensureTopic(connectionWith(), { ...TOPIC, ...wanted })).rejects.toThrow(sentence);
    },
    60_000,
  );

  it('cannot have more replicas than there are brokers', async () => {
    const impossible = ensureTopic(connectionWith(), { ...TOPIC, topic: 'kms.impossible.v1', replicationFactor: 3 });
    await expect(impossible).rejects.toThrow(/^Kafka cannot be used: .*eplication/);
  }, 60_000);
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { kafkaConnection } from './connection.ts';

const folder = mkdtempSync(join(tmpdir(), 'kms-brokers-'));
const file = join(folder, 'file');

describe('the connection to Kafka', () => {
  it('goes to the brokers that are named, or to those that stand in a file now', () => {
    expect(kafkaConnection({ KAFKA_BROKERS: 'a:1,b.example:65535' }).brokers()).toEqual(['a:1', 'b.example:65535']);
    writeFileSync(file, '127.0.0.1:1\n');
    const { brokers } = kafkaConnection({ KAFKA_BROKERS_FILE: file });
    expect(brokers()).toEqual(['127.0.0.1:1']);
    writeFileSync(file, '127.0.0.1:2\n');
    expect(brokers()).toEqual(['127.0.0.1:2']);
    rmSync(folder, { recursive: true });
    expect(() => brokers()).toThrow('The file that KAFKA_BROKERS_FILE names cannot be read: ENOENT.');
  });

  it('shows who it is over TLS only', () => {
    const user = { KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512', KAFKA_SASL_USERNAME: 'kms', KAFKA_SASL_PASSWORD: 'secret' };
    expect(kafkaConnection({ KAFKA_BROKERS: 'a:1', KAFKA_TLS: 'true', ...user }).security).toEqual({
      ssl: true,
      sasl: { mechanism: 'scram-sha-512', username: 'kms', password: 'secret' },
    });
    expect(() => kafkaConnection({ KAFKA_BROKERS: 'a:1', ...user })).toThrow(/without TLS/);
  });

  it.each([
    [{}, 'KAFKA_BROKERS is not set: it is required.'],
    [{ KAFKA_BROKERS: 'a:1', KAFKA_BROKERS_FILE: 'f' }, 'Both KAFKA_BROKERS and KAFKA_BROKERS_FILE are set: set one of them.'],
    [{ KAFKA_BROKERS: 'a' }, /must be host:port/],
    [{ KAFKA_BROKERS: 'a:1, b:2' }, /no spaces/],
    [{ KAFKA_BROKERS: 'a:65536' }, /must be host:port/],
    [{ KAFKA_BROKERS: 'a:1', KAFKA_TLS: 'yes' }, 'KAFKA_TLS is not valid: it must be true or false.'],
    [{ KAFKA_BROKERS: 'a:1', KAFKA_CA_FILE: '/nowhere' }, 'The file that KAFKA_CA_FILE names cannot be read: ENOENT.'],
    [{ KAFKA_BROKERS: 'a:1', KAFKA_CA_FILE: 'f', KAFKA_TLS: 'false' }, /set one of them/],
    [{ KAFKA_BROKERS: 'a:1', KAFKA_TLS: 'true', KAFKA_SASL_USERNAME: 'kms' }, /must be set together/],
    [{ KAFKA_BROKERS: 'a:1', KAFKA_SASL_MECHANISM: 'PLAIN' }, /must be SCRAM-SHA-256 or SCRAM-SHA-512/],
  ])('refuses %j with one sentence', (environment, sentence) => {
    expect(() => kafkaConnection(environment)).toThrow(sentence);
  });
});

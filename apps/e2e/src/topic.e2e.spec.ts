import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AUDIT_CONTENT_TYPE, AUDIT_TOPIC, CHECKPOINT_CONTENT_TYPE, CHECKPOINT_TOPIC, EVENT_TYPES } from '@kms/contracts';
import { openCheckpoint } from '@kms/merkle';
import { readTopic, waitFor } from '@kms/testing';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { checkpoint, logPolicy } from './log.ts';
import { ROOT, Suite } from './suite.ts';

/** The ledger makes this one itself, of a message that is no event: it is never on the topic. */
const NOT_ON_THE_TOPIC = 'kms.message.parked.v1';

let suite: Suite;

beforeAll(async () => {
  suite = await Suite.make();
  await suite.start();
}, 60_000);

afterAll(() => suite.remove(), 30_000);

/** One call of each kind that is recorded. */
async function session(): Promise<void> {
  await suite.create('told', 'x', { properties: { note: 'café' } });
  await suite.call('GET', '/kms/reveal/told.json', undefined, { 'user-agent': 'agent/1.0 "quoted" \u00e9' });
  await suite.call('GET', '/kms/reveal/nobody.json');
  await suite.call('GET', '/kms/told.json');
  await suite.call('GET', '/kms.json');
  await suite.call('GET', '/audit.json');
  await suite.call('PATCH', '/kms/told.json', { kmsEntry: { whitelist: ['10.0.0.0/8', '2001:db8::/32'], expiresAt: null } });
  await suite.call('POST', '/kms/told/versions.json', { kmsEntry: { content: 'y' } });
  await suite.call('POST', '/kms.json', { kmsEntry: { name: 'told', handler: 'told', content: 'x' } });
  await suite.call('GET', '/ping.json', undefined, { authorization: 'Bearer nonsense' });
  await suite.call('DELETE', '/kms/told.json');
}

describe('the audit topic', () => {
  it('holds an event of each type for each call, as the published schema has it', async () => {
    await session();
    const wanted = new Set<string>(EVENT_TYPES.filter((type) => type !== NOT_ON_THE_TOPIC));
    const typeOf = ({ value }: { value: string }) => (JSON.parse(value) as { type: string }).type;
    const messages = await readTopic(await suite.brokers(), AUDIT_TOPIC, (sofar) => new Set(sofar.map(typeOf)).size === wanted.size);
    expect(new Set(messages.map(typeOf))).toEqual(wanted);

    const schema = JSON.parse(readFileSync(join(ROOT, 'docs', 'events', 'audit-event.schema.json'), 'utf8')) as object;
    const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schema);
    for (const { key, contentType, value } of messages) {
      const event = JSON.parse(value) as { data: { organizationId: string } };
      expect([value, validate(event), validate.errors]).toEqual([value, true, null]);
      expect([key, contentType]).toEqual([event.data.organizationId, AUDIT_CONTENT_TYPE]);
    }
  }, 60_000);
});

describe('the checkpoint topic', () => {
  it('holds what the API answers, under the organization’s id, in order, and signed by the log', async () => {
    const newest = await waitFor('a checkpoint', () => checkpoint(suite));
    const messages = await readTopic(await suite.brokers(), CHECKPOINT_TOPIC, (sofar) => sofar.some(({ value }) => value === newest));
    const policy = await logPolicy(suite);
    let size = 0;
    for (const { key, contentType, value } of messages) {
      expect([key, contentType]).toEqual([suite.admin.organizationId, CHECKPOINT_CONTENT_TYPE]);
      const opened = openCheckpoint(Buffer.from(value), policy).checkpoint;
      expect(opened.size).toBeGreaterThanOrEqual(size);
      size = opened.size;
    }
  }, 60_000);
});

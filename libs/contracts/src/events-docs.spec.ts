import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { z } from 'zod';
import {
  AUDIT_CONTENT_TYPE,
  AUDIT_TOPIC,
  AuditEvent,
  CHECKPOINT_CONTENT_TYPE,
  CHECKPOINT_TOPIC,
  EVENT_TYPES,
  prepareEvent,
} from './index.ts';

const folder = new URL('../../../docs/events/', import.meta.url);
const schemaFile = new URL('audit-event.schema.json', folder);
const ID = '6835c2cd0f3e5a7b9c1d2e3f';

const generated = () => `${JSON.stringify({ title: 'Donutwork KMS audit event', ...z.toJSONSchema(AuditEvent) }, null, 2)}\n`;

/** What a service really sends: the text that is stored and produced as it stands. */
function sent(type: (typeof EVENT_TYPES)[number]): Record<string, unknown> {
  const data = {
    organizationId: ID,
    environment: 'production',
    apiKeyId: ID,
    apiKeyName: 'test',
    address: '192.0.2.1',
    userAgent: null,
    requestId: 'request',
    entryId: ID,
    handler: 'handler',
    version: 1,
    revision: 1,
    action: 'reveal',
    outcome: 'success',
    reason: null,
  } as const;
  const place = prepareEvent({ id: ID, source: '/vault', type, time: '2026-01-01T00:00:00.000Z', data });
  return JSON.parse(place({ writer: ID, sequence: 1, previousHash: '0'.repeat(64) })) as Record<string, unknown>;
}

describe('the published schema', () => {
  it('is the one that the code parses by', () => {
    if (process.env['UPDATE_SCHEMAS']) writeFileSync(schemaFile, generated());
    expect(readFileSync(schemaFile, 'utf8')).toBe(generated());
  });

  it('takes every type of event as it is sent, and nothing else', () => {
    const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(JSON.parse(readFileSync(schemaFile, 'utf8')) as object);
    for (const type of EVENT_TYPES) expect([type, validate(sent(type)), validate.errors]).toEqual([type, true, null]);
    expect(validate({ ...sent(EVENT_TYPES[0]), extra: 1 })).toBe(false);
    expect(validate({ ...sent(EVENT_TYPES[0]), sequence: '1' })).toBe(false);
  });
});

describe('the AsyncAPI document', () => {
  const document = parse(readFileSync(new URL('asyncapi.yaml', folder), 'utf8')) as {
    channels: Record<'audit' | 'checkpoints', { address: string; bindings: { kafka: { topic: string } } }>;
    components: { messages: Record<'auditEvent' | 'checkpoint', { contentType: string }> };
  };

  it('is AsyncAPI 3', () => {
    const specification = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0.json') as object;
    const validate = new Ajv({ strict: false, validateFormats: false, logger: false, meta: false, validateSchema: false }).compile(
      specification,
    );
    expect([validate(document), validate.errors]).toEqual([true, null]);
  });

  it('names the topics and the media types of the code', () => {
    const { audit, checkpoints } = document.channels;
    for (const [{ address, bindings }, topic] of [
      [audit, AUDIT_TOPIC],
      [checkpoints, CHECKPOINT_TOPIC],
    ] as const)
      expect([address, bindings.kafka.topic]).toEqual([topic, topic]);
    const { auditEvent, checkpoint } = document.components.messages;
    expect([auditEvent.contentType, checkpoint.contentType]).toEqual([AUDIT_CONTENT_TYPE, CHECKPOINT_CONTENT_TYPE]);
  });
});

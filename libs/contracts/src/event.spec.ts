import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  auditData,
  AuditEvent,
  createIdGenerator,
  CreateEntryBody,
  EventFormatError,
  isUsualEvent,
  MAX_EVENT_BYTES,
  organizationOf,
  parseEvent,
  prepareEvent,
  previousHashOf,
  type AuditData,
} from './index.ts';

const ID = '6835c2cd0f3e5a7b9c1d2e3f';
const position = { writer: ID, sequence: 42, previousHash: 'ab'.repeat(32) };

function bytesOf(data: Partial<AuditData>): Buffer {
  const place = prepareEvent({
    id: ID,
    source: '/vault',
    type: 'kms.secret.revealed.v1',
    time: '2026-01-01T00:00:00.000Z',
    data: auditData({ organizationId: ID, action: 'reveal', outcome: 'success', ...data }),
  });
  return Buffer.from(place(position));
}

function jsonOr(text: string, otherwise: unknown): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return otherwise;
  }
}

describe('an event', () => {
  it('is read back as it was written, and its key with it, whatever its members hold', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string({ unit: 'grapheme' }), (handler, apiKeyName) => {
        const bytes = bytesOf({ handler: `${handler}"organizationId":"`, apiKeyName });
        expect(parseEvent(bytes)).toMatchObject({
          sequence: '0000000000000042',
          subject: `${handler}"organizationId":"`,
          data: { apiKeyName },
        });
        expect(organizationOf(bytes)).toBe(ID);
      }),
    );
  });

  it.each([
    ['no JSON', Buffer.from('{')],
    ['invalid UTF-8', Buffer.concat([bytesOf({ apiKeyName: 'x' }).subarray(0, 40), Buffer.of(0xff)])],
    ['an unknown member', Buffer.from(bytesOf({}).toString().replace('{', '{"extra":1,'))],
    ['a byte order mark', Buffer.concat([Buffer.of(0xef, 0xbb, 0xbf), bytesOf({})])],
    ['an organization that is no id', bytesOf({ organizationId: 'x' })],
  ])('is not %s', (_name, bytes) => {
    expect(() => parseEvent(bytes)).toThrow(EventFormatError);
  });

  it('is what the schema takes and as that reads it, in the spelling that is most common too', () => {
    const whole = bytesOf({ environment: 'production', handler: 'a', version: 3, userAgent: 'curl/8' }).toString();
    const taken = { bySchema: 0, usual: 0 };
    const put = fc.constantFrom('', ...'"\\{}:,0129azTZ-.\u007f\u00e9\n');
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(2), put, (at, cut, mark) => {
        const text = whole.slice(0, at) + mark + whole.slice(at + cut);
        const bytes = Buffer.from(text);
        const { success, data } = AuditEvent.safeParse(jsonOr(text, null));
        taken.bySchema += Number(success);
        taken.usual += Number(isUsualEvent(text));
        if (success) expect(parseEvent(bytes)).toEqual(data);
        else expect(() => parseEvent(bytes)).toThrow(EventFormatError);
      }),
      { numRuns: 5_000 },
    );
    expect(taken.usual).toBeGreaterThan(200);
    expect(taken.bySchema).toBeGreaterThan(taken.usual);
  });

  it('states the hash before it, wherever that member stands and whatever looks like it', () => {
    const members = Object.entries(JSON.parse(bytesOf({}).toString()) as object);
    const deceptive = fc.constantFrom(`,"previoushash":"${'c'.repeat(64)}"}`, `\\","previoushash":"${'c'.repeat(64)}"}`, '');
    const order = fc.shuffledSubarray(members, { minLength: members.length });
    const space = fc.constantFrom('', ' ', '\n');
    fc.assert(
      fc.property(order, deceptive, space, space, (shuffled, apiKeyName, before, after) => {
        const event = Object.fromEntries(shuffled) as { data: AuditData };
        const text = JSON.stringify({ ...event, data: { ...event.data, apiKeyName } });
        const bytes = Buffer.from(text.replace(/}$/, `${before}}${after}`));
        expect(previousHashOf(bytes)).toBe(parseEvent(bytes).previoushash);
      }),
    );
    const repeated = bytesOf({})
      .toString()
      .replace('{', `{"previoushash":"${'c'.repeat(64)}",`);
    expect(previousHashOf(Buffer.from(repeated))).toBe(parseEvent(Buffer.from(repeated)).previoushash);
  });
});

describe('the longest event', () => {
  it('is as long as an entry bundle can hold; no longer one is made', () => {
    const room = MAX_EVENT_BYTES - bytesOf({ apiKeyName: '' }).length;
    expect(bytesOf({ apiKeyName: 'x'.repeat(room) }).length).toBe(MAX_EVENT_BYTES);
    expect(() => bytesOf({ apiKeyName: 'x'.repeat(room + 1) })).toThrow(EventFormatError);
    expect(() => bytesOf({ apiKeyName: '\u20ac'.repeat(room / 3 + 1) })).toThrow(EventFormatError);
  });

  it('is longer than any that a request can make', () => {
    const whitelist = Array.from({ length: 256 }, () => 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128');
    const body = (properties: Record<string, string>) => ({
      kmsEntry: { name: '\u0001'.repeat(200), handler: 'h'.repeat(128), content: 'x', whitelist, properties },
    });
    const key = (index: number) => String.fromCharCode(32 + index);
    const properties = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [key(index), '\u0001'.repeat(index < 63 ? 104 : 95)]));
    const { kmsEntry } = CreateEntryBody.parse(body(properties));
    const { name, handler } = kmsEntry;
    const bytes = bytesOf({
      handler,
      apiKeyName: '\u0001'.repeat(200),
      userAgent: '\u0001'.repeat(512),
      change: {
        name,
        whitelist,
        properties: kmsEntry.properties,
        enabled: true,
        expiresAt: '2026-01-01T00:00:00.000Z',
        encoding: 'base64',
      },
    });
    expect(JSON.stringify(properties).length).toBeGreaterThan(40_000);
    expect(bytes.length).toBeLessThan(MAX_EVENT_BYTES);
    const more = CreateEntryBody.safeParse(body({ ...properties, ' ': '\u0001'.repeat(300) }));
    expect(more.error?.issues[0]?.message).toBe('at most 40960 bytes of properties together as JSON');
  });
});

describe('an id generator', () => {
  it('makes ids that differ, in the order of time', () => {
    let now = 0;
    const next = createIdGenerator({ now: () => now, randomBytes: (length) => Buffer.alloc(length, 0xff) });
    const first = next();
    expect(next()).not.toBe(first);
    now = 1_000;
    expect(next() > first).toBe(true);
    expect(first).toMatch(/^[0-9a-f]{24}$/);
  });
});

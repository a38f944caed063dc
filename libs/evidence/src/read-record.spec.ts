import { describe, expect, it } from '@jest/globals';
import { auditData, AuditEvent, prepareEvent, type AuditData } from '@kms/contracts';
import fc from 'fast-check';
import { readRecord, readUsual, type RecordFacts } from './read-record.ts';

const id = fc.stringMatching(/^[0-9a-f]{24}$/);
const words = fc.oneof(fc.constant(null), fc.string({ maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 8 }));
const place = fc.record({
  writer: id,
  sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  previousHash: fc.stringMatching(/^[0-9a-f]{64}$/),
});
const observed = fc.record({
  apiKeyId: fc.option(id),
  apiKeyName: words,
  userAgent: words,
  requestId: words,
  handler: words,
  version: fc.option(fc.integer({ min: 1 })),
  outcome: fc.constantFrom('success', 'denied', 'error'),
  reason: words,
});
const time = fc.date({ min: new Date('2000-01-01'), max: new Date('2100-01-01'), noInvalidDate: true }).map((date) => date.toISOString());

/** What the schema itself reads of an event. */
function factsOf(bytes: Buffer): RecordFacts {
  const { id, data, writer, sequence, previoushash } = AuditEvent.parse(JSON.parse(bytes.toString()));
  const previousHash = new Uint8Array(Buffer.from(previoushash, 'hex'));
  return { id, organizationId: data.organizationId, writer, sequence: Number(sequence), previousHash };
}

const event = (data: AuditData, at: string) =>
  prepareEvent({ id: 'a'.repeat(24), source: '/vault', type: 'kms.secret.revealed.v1', time: at, data });
/** As the vault writes a reveal: one literal, with the outcome before the reason. */
const reveal = ({ reason, ...data }: AuditData): AuditData => ({ ...data, reason });

describe('readRecord', () => {
  it('reads what the services write with the same facts as the schema, however it is spelt', () => {
    fc.assert(
      fc.property(id, observed, time, place, fc.boolean(), (organizationId, known, at, position, isReveal) => {
        const data = auditData({ organizationId, action: 'reveal', ...known } as AuditData);
        const bytes = Buffer.from(event(isReveal ? reveal(data) : data, at)(position));
        const facts = factsOf(bytes);
        expect(facts).toMatchObject({ organizationId, writer: position.writer, sequence: position.sequence });
        expect(readRecord(bytes)).toEqual(facts);
        expect([null, facts]).toContainEqual(readUsual(bytes));
      }),
      { numRuns: 500 },
    );
  });

  it('reads most events without the schema', () => {
    const data = auditData({ organizationId: '1'.repeat(24), action: 'reveal', outcome: 'success', handler: 'a', userAgent: 'curl/8' });
    const position = { writer: 'b'.repeat(24), sequence: 1, previousHash: '0'.repeat(64) };
    for (const each of [data, reveal(data), { ...data, address: '2001:db8::1', version: 12 }]) {
      const bytes = Buffer.from(event(each, '2026-02-28T23:59:59.999Z')(position));
      expect(readUsual(bytes)).toEqual(factsOf(bytes));
    }
  });

  it('takes by itself nothing that the schema refuses', () => {
    const data = auditData({
      organizationId: '1'.repeat(24),
      environment: 'production',
      action: 'reveal',
      outcome: 'success',
      handler: 'a',
      version: 3,
    });
    const whole = event(data, '2026-01-31T10:00:00Z')({ writer: 'b'.repeat(24), sequence: 1, previousHash: '0'.repeat(64) });
    let taken = 0;
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(2), fc.constantFrom(...'"\\{}:,0129azTZ-.\u007f\u00e9\n'), (at, cut, put) => {
        const bytes = Buffer.from(whole.slice(0, at) + put + whole.slice(at + cut));
        const facts = readUsual(bytes);
        if (facts === null) return;
        taken += 1;
        expect(facts).toEqual(factsOf(bytes));
      }),
      { numRuns: 20_000 },
    );
    expect(taken).toBeGreaterThan(500);
  });

  it.each(['2026-02-29T10:00:00Z', '2026-04-31T10:00:00Z', '2026-13-01T10:00:00Z', '2026-01-01T24:00:00Z', '2026-01-32T10:00:00Z'])(
    'takes no event of a time that there is not: %s',
    (at) => {
      const data = auditData({ organizationId: '1'.repeat(24), action: 'reveal', outcome: 'success' });
      const bytes = Buffer.from(event(data, at)({ writer: 'b'.repeat(24), sequence: 1, previousHash: '0'.repeat(64) }));
      expect(readUsual(bytes)).toBeNull();
      expect(() => readRecord(bytes)).toThrow('time');
    },
  );
});

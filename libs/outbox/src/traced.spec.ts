import { expect, it } from '@jest/globals';
import { auditData, prepareEvent } from '@kms/contracts';
import { EventTraces } from './traced.ts';

const WRITER = '1'.repeat(24);

it('the trace of an event is found by the bytes that are sent, once', () => {
  const data = auditData({ organizationId: '2'.repeat(24), action: 'reveal', outcome: 'success' });
  const place = prepareEvent({
    id: '3'.repeat(24),
    source: '/vault',
    type: 'kms.secret.revealed.v1',
    time: '2026-01-01T00:00:00.000Z',
    data,
  });
  const event = (sequence: number) => Buffer.from(place({ writer: WRITER, sequence, previousHash: '0'.repeat(64) }));
  const traces = new EventTraces();
  traces.note({ writer: WRITER, sequence: 12 }, 'a trace');
  expect([traces.take(event(11)), traces.take(event(12)), traces.take(event(12))]).toEqual([undefined, 'a trace', undefined]);
});

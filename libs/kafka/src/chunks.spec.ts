import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { chunks } from './chunks.ts';

const size = ({ key, value }: { key: string | null; value: Buffer | null }) => (key?.length ?? 0) + (value?.length ?? 0);

describe('chunks', () => {
  it('keep every message in its order, and both limits but for a message that is larger alone', () => {
    const message = fc.record({
      key: fc.option(fc.string({ maxLength: 5 })),
      value: fc.option(fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes))),
    });
    const limits = fc.record({ messages: fc.integer({ min: 1, max: 6 }), bytes: fc.integer({ min: 1, max: 100 }) });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 30 }), limits, (messages, limit) => {
        const cut = [...chunks(messages, limit)];
        expect(cut.flat()).toEqual(messages);
        for (const chunk of cut) {
          expect(chunk.length).toBeGreaterThan(0);
          expect(chunk.length).toBeLessThanOrEqual(limit.messages);
          if (chunk.length > 1) expect(chunk.reduce((sum, each) => sum + size(each), 0)).toBeLessThanOrEqual(limit.bytes);
        }
      }),
    );
  });
});

import { createRequire } from 'node:module';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { crc32c } from './crc32c.ts';
import { produceCall } from './produce.ts';
import { encodeHeaders, encodeRecordBatch } from './record-batch.ts';

const require = createRequire(import.meta.url);
/** kafkajs's own reader of what brokers hand out: it checks magic and lengths, and was written from the protocol by somebody else. */
const Decoder = require('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => unknown;
const decodeBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder') as (decoder: unknown) => Promise<Batch>;
const theirCrc32c = require('kafkajs/src/protocol/recordBatch/crc32C') as (bytes: Buffer) => number;

interface Batch {
  firstOffset: string;
  firstTimestamp: string;
  maxTimestamp: string;
  lastOffsetDelta: number;
  producerId: string;
  inTransaction: boolean;
  records: { offset: string; timestamp: string; key: Buffer; value: Buffer; headers: Record<string, Buffer> }[];
}

const message = fc.record({
  key: fc.string({ unit: fc.constantFrom('a', '0', 'f'), maxLength: 40 }),
  value: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});

describe('a record batch', () => {
  it('is read back by kafkajs as it was made, with its checksum', async () => {
    const batches = fc.array(message, { minLength: 1, maxLength: 200 });
    const times = fc.integer({ min: 0, max: Date.UTC(2200, 0) });
    await fc.assert(
      fc.asyncProperty(batches, times, async (messages, time) => {
        const bytes = encodeRecordBatch(messages, encodeHeaders({ 'content-type': 'text/plain', ünï: '☂' }), time);
        expect(bytes.readUInt32BE(17)).toBe(theirCrc32c(bytes.subarray(21)));
        const batch = await decodeBatch(new Decoder(bytes));
        expect(batch).toMatchObject({ firstOffset: '0', firstTimestamp: String(time), maxTimestamp: String(time), inTransaction: false });
        expect([batch.lastOffsetDelta, batch.producerId]).toEqual([messages.length - 1, '-1']);
        expect(batch.records.map(({ key, value }) => ({ key: key.toString(), value }))).toEqual(messages);
        expect(batch.records.map(({ offset }) => offset)).toEqual(messages.map((_, index) => String(index)));
        for (const { headers, timestamp } of batch.records) {
          expect([timestamp, String(headers['content-type']), String(headers['ünï'])]).toEqual([String(time), 'text/plain', '☂']);
        }
      }),
    );
  });

  it('takes values whose lengths need any number of bytes', async () => {
    const messages = [63, 64, 8_191, 8_192, 1_048_575, 1_048_576].map((length) => ({ key: 'key', value: Buffer.alloc(length, 1) }));
    const { records } = await decodeBatch(new Decoder(encodeRecordBatch(messages, encodeHeaders({}), 0)));
    expect(records.map(({ value }) => value.length)).toEqual(messages.map(({ value }) => value.length));
  });
});

describe('CRC-32C', () => {
  it.each([
    ['123456789', Buffer.from('123456789'), 0xe3069283],
    ['zeros (RFC 3720, B.4)', Buffer.alloc(32), 0x8a9136aa],
    ['ones (RFC 3720, B.4)', Buffer.alloc(32, 0xff), 0x62a8ab43],
    ['nothing', Buffer.alloc(0), 0],
  ])('of %s is known', (_name, bytes, expected) => {
    expect(crc32c(bytes, 0, bytes.length)).toBe(expected);
  });

  it('is of the part that is asked for', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(64), fc.nat(64), (array, from, to) => {
        const bytes = Buffer.from(array);
        const [start, end] = [Math.min(from, bytes.length), Math.min(Math.max(from, to), bytes.length)];
        expect(crc32c(bytes, start, end)).toBe(theirCrc32c(bytes.subarray(start, end)));
      }),
    );
  });
});

describe('the answer to a Produce request', () => {
  /** Version 3: one topic, its partitions with error code, offset and time; then the throttle time. */
  const answer = (...partitions: [number: number, code: number][]) => {
    const head = Buffer.from([0, 0, 0, 1, 0, 1, 0x74, 0, 0, 0, partitions.length]);
    const parts = partitions.map(([number, code]) => {
      const bytes = Buffer.alloc(22);
      bytes.writeInt32BE(number, 0);
      bytes.writeInt16BE(code, 4);
      return bytes;
    });
    return Buffer.concat([head, ...parts, Buffer.alloc(4)]);
  };
  const { response } = produceCall('t', new Map([3, 7].map((partition) => [partition, Buffer.alloc(1)])), 1);
  const read = async (bytes: Buffer) => response.parse(await response.decode(bytes));

  it('is good where it takes every batch, and nowhere else', async () => {
    await expect(read(answer([7, 0], [3, 0]))).resolves.toBeUndefined();
    await expect(read(answer([3, 0], [7, 6]))).rejects.toMatchObject({ partition: 7, code: 6 });
    await expect(read(answer([7, 0]))).rejects.toMatchObject({ partition: 3, code: -1 });
  });
});

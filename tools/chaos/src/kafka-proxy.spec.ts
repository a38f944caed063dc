import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { FrameReader, KafkaProxy } from './kafka-proxy.ts';

const PRODUCE = 0;
const FETCH = 1;

function frame(...fields: Buffer[]): Buffer {
  const body = Buffer.concat(fields);
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length);
  return Buffer.concat([size, body]);
}

const int16 = (value: number) => Buffer.from([value >> 8, value & 0xff]);
const int32 = (value: number) => Buffer.from([value >> 24, value >> 16, value >> 8, value]);
const request = (api: number, number: number) => frame(int16(api), int16(9), int32(number), Buffer.from('request'));
const response = (number: number) => frame(int32(number), Buffer.from('response'));

describe('frames', () => {
  it('come out whole, whatever pieces they came in', () => {
    const bodies = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });
    fc.assert(
      fc.property(bodies, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (contents, sizes) => {
        const frames = contents.map((content) => frame(Buffer.from(content)));
        const bytes = Buffer.concat(frames);
        const reader = new FrameReader();
        const found: Buffer[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const size = sizes[turn % sizes.length] as number;
          found.push(...reader.push(bytes.subarray(at, at + size)));
          at += size;
        }
        expect(found).toEqual(frames);
      }),
    );
  });
});

describe('a proxy before a broker', () => {
  let broker: Server;
  let proxy: KafkaProxy;
  let client: Socket;
  let seen: number[];
  let isClosed: boolean;

  beforeEach(async () => {
    // Answers every request with its number, in order.
    broker = createServer((socket) => {
      const reader = new FrameReader();
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => reader.push(chunk).forEach((asked) => socket.write(response(asked.readInt32BE(8)))));
    }).listen(0, '127.0.0.1');
    await once(broker, 'listening');
    proxy = new KafkaProxy();
    const port = await proxy.before(`127.0.0.1:${(broker.address() as AddressInfo).port}`);
    client = connect({ host: '127.0.0.1', port });
    seen = [];
    isClosed = false;
    const reader = new FrameReader();
    client.on('data', (chunk: Buffer) => seen.push(...reader.push(chunk).map((answer) => answer.readInt32BE(4))));
    client.on('close', () => (isClosed = true));
    await once(client, 'connect');
  });

  afterEach(async () => {
    client.destroy();
    await proxy.stop();
    await once(broker.close(), 'close');
  });

  const until = async (isTrue: () => boolean) => {
    while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
  };

  it('drops one answer to a produce request, and no other answer', async () => {
    const dropped = proxy.dropNextAnswer('silence');
    for (const bytes of [request(FETCH, 1), request(PRODUCE, 2), request(FETCH, 3), request(PRODUCE, 4)]) client.write(bytes);
    await dropped;
    await until(() => seen.includes(4));
    expect([seen, isClosed]).toEqual([[1, 3, 4], false]);
  });

  it('breaks the connection where it is told to', async () => {
    const dropped = proxy.dropNextAnswer('cut');
    for (const bytes of [request(FETCH, 1), request(PRODUCE, 2), request(FETCH, 3)]) client.write(bytes);
    await dropped;
    await until(() => isClosed);
    expect(seen).toEqual([1]);
  });
});

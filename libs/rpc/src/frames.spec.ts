import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  decodeAnswer,
  decodeFailure,
  decodeRequest,
  encodeAnswer,
  encodeFailure,
  encodePing,
  encodeGoodbye,
  encodePong,
  encodeRequest,
  FailureCode,
  FrameError,
  FrameKind,
  FrameParser,
  FrameTooLargeError,
  MAX_FRAME_LENGTH,
} from './frames.ts';

const id = fc.nat({ max: 0xffffffff });
const pattern = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }).filter((text) => Buffer.byteLength(text) <= 255);
const frame = fc.oneof(
  fc.tuple(id, pattern, fc.jsonValue()).map(([number, name, value]) => encodeRequest(number, name, value)),
  fc.tuple(id, fc.jsonValue()).map(([number, value]) => encodeAnswer(number, value)),
  fc.tuple(id, fc.constantFrom(...Object.values(FailureCode))).map(([number, code]) => encodeFailure(number, code)),
  fc.constantFrom(encodePing(), encodePong(), encodeGoodbye()),
);
const cuts = fc.array(fc.nat({ max: 1_000_000 }), { maxLength: 30 });

/** The stream in chunks that begin at these places (modulo its length). */
function split(stream: Buffer, places: number[]): Buffer[] {
  const starts = [0, ...places.map((place) => place % (stream.length + 1)), stream.length].sort((a, b) => a - b);
  return starts.slice(1).map((end, index) => stream.subarray(starts[index], end));
}

/** What the parser hands on, each frame as text, and the error that ended it. */
function parse(chunks: Buffer[]): { frames: string[]; error: unknown } {
  const frames: string[] = [];
  const parser = new FrameParser((number, kind, body) => frames.push(`${number} ${kind} ${body.toString('hex')}`));
  try {
    for (const chunk of chunks) parser.push(chunk);
    return { frames, error: null };
  } catch (error) {
    return { frames, error };
  }
}

function raw(length: number, kind: number, body: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(9);
  header.writeUInt32BE(length, 0);
  header[8] = kind;
  return Buffer.concat([header, body]);
}

describe('FrameParser', () => {
  it('gives the same frames however the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 8 }), cuts, (frames, places) => {
        const stream = Buffer.concat(frames);
        const whole = parse([stream]);
        expect(whole.error).toBeNull();
        expect(whole.frames).toHaveLength(frames.length);
        expect(parse(split(stream, places))).toEqual(whole);
        expect(parse([...stream].map((byte) => Buffer.of(byte)))).toEqual(whole);
      }),
    );
  });

  it('ends at the same place with the same error however junk is cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 3 }), fc.uint8Array({ maxLength: 200 }), cuts, (frames, junk, places) => {
        const stream = Buffer.concat([...frames, junk]);
        expect(parse(split(stream, places))).toEqual(parse([stream]));
      }),
    );
  });

  it.each([
    ['a length that has no room for a header', raw(4, FrameKind.Answer)],
    ['a length over the limit', raw(MAX_FRAME_LENGTH + 1, FrameKind.Answer)],
    ['kind 0', raw(5, 0)],
    ['an unknown kind', raw(5, FrameKind.Goodbye + 1)],
    ['a ping with a body', raw(6, FrameKind.Ping, Buffer.of(0))],
    ['text of another protocol', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ])('refuses %s, and everything after it', (_name, bytes) => {
    const parser = new FrameParser(() => undefined);
    expect(() => parser.push(bytes)).toThrow(FrameError);
    expect(() => parser.push(encodePing())).toThrow(FrameError);
  });

  it('takes a frame of the largest length, in one piece and in many', () => {
    const largest = encodeAnswer(7, 'x'.repeat(MAX_FRAME_LENGTH - 7));
    expect(largest.readUInt32BE(0)).toBe(MAX_FRAME_LENGTH);
    const whole = parse([largest]);
    expect(whole.frames).toHaveLength(1);
    expect(parse(split(largest, [3, 4, 70_000, 500_000]))).toEqual(whole);
  });
});

describe('messages', () => {
  it('come out as they went in', () => {
    fc.assert(
      fc.property(id, pattern, fc.jsonValue(), (number, name, value) => {
        const expected = JSON.parse(JSON.stringify(value)) as unknown;
        expect(decodeRequest(encodeRequest(number, name, value).subarray(9))).toEqual({ pattern: name, payload: expected });
        expect(decodeAnswer(encodeAnswer(number, value).subarray(9))).toEqual(expected);
      }),
    );
  });

  it('keep undefined apart from null', () => {
    expect(decodeAnswer(encodeAnswer(1, undefined).subarray(9))).toBeUndefined();
    expect(decodeAnswer(encodeAnswer(1, null).subarray(9))).toBeNull();
  });

  it('that are too large, or have no pattern of 1 to 255 bytes, are not encoded', () => {
    expect(() => encodeAnswer(1, 'x'.repeat(MAX_FRAME_LENGTH - 6))).toThrow(FrameTooLargeError);
    expect(() => encodeRequest(1, 'echo', 'x'.repeat(MAX_FRAME_LENGTH))).toThrow(FrameTooLargeError);
    expect(() => encodeRequest(1, '', 1)).toThrow(RangeError);
    expect(() => encodeRequest(1, 'é'.repeat(128), 1)).toThrow(RangeError);
  });

  it.each([
    ['an empty body', Buffer.alloc(0)],
    ['an empty pattern', Buffer.of(0, 0x31)],
    ['a pattern that is cut off', Buffer.of(3, 0x61, 0x62)],
    ['a pattern that is not UTF-8', Buffer.of(1, 0xff, 0x31)],
    ['a payload that is not UTF-8', Buffer.of(1, 0x61, 0x22, 0xff, 0x22)],
    ['a payload with a byte too many', Buffer.from('\u0001a1,')],
  ])('a request with %s is refused', (_name, body) => {
    expect(() => decodeRequest(body)).toThrow(FrameError);
  });

  it.each([Buffer.alloc(0), Buffer.of(0), Buffer.of(5), Buffer.of(1, 1)])('a failure that is not one known byte is refused', (body) => {
    expect(() => decodeFailure(body)).toThrow(FrameError);
  });

  it('that are not JSON are refused without a word of what they say', () => {
    const error = (() => {
      try {
        return decodeAnswer(Buffer.from('"hunter2" oops'));
      } catch (caught) {
        return caught as Error;
      }
    })() as Error;
    expect(error).toBeInstanceOf(FrameError);
    expect(error.stack).not.toContain('hunter2');
    expect(error.cause).toBeUndefined();
  });
});

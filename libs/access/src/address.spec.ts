import { isIP } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseAddress } from './address.ts';

const REFUSED: [string, string][] = [
  ['nothing', ''],
  ['a word', 'localhost'],
  ['octal with a leading zero', '010.0.0.1'],
  ['a leading zero', '1.2.3.04'],
  ['hexadecimal', '0x7f.0.0.1'],
  ['one hexadecimal number', '0x7f000001'],
  ['one decimal number', '2130706433'],
  ['two parts', '127.1'],
  ['three parts', '127.0.1'],
  ['five parts', '1.2.3.4.5'],
  ['a byte too large', '1.2.3.256'],
  ['a negative byte', '1.2.3.-4'],
  ['an empty byte', '1..3.4'],
  ['a final dot', '1.2.3.4.'],
  ['a port', '1.2.3.4:443'],
  ['a prefix', '1.2.3.4/32'],
  ['a leading space', ' 1.2.3.4'],
  ['a trailing space', '1.2.3.4 '],
  ['a trailing line feed', '1.2.3.4\n'],
  ['a trailing NUL', '1.2.3.4\u0000'],
  ['text behind a NUL', '1.2.3.4\u0000.evil'],
  ['Arabic-Indic digits', '١.٢.٣.٤'],
  ['full-width digits', '１.2.3.4'],
  ['an ideographic full stop', '1。2。3。4'],
  ['a list', '1.2.3.4,5.6.7.8'],
  ['IPv6 in brackets', '[::1]'],
  ['IPv6 in brackets with a port', '[::1]:443'],
  ['a zone id', 'fe80::1%eth0'],
  ['an empty zone id', 'fe80::1%'],
  ['two gaps', '1::2::3'],
  ['a gap of no groups', '1::2:3:4:5:6:7:8'],
  ['seven groups', '1:2:3:4:5:6:7'],
  ['nine groups', '1:2:3:4:5:6:7:8:9'],
  ['a group of five digits', '::12345'],
  ['a group that is not hexadecimal', '::g'],
  ['a single colon at the end', '1:2:3:4:5:6:7:'],
  ['a dotted quad that is not last', '::1.2.3.4:5'],
  ['a mapped address with a leading zero', '::ffff:01.2.3.4'],
  ['a mapped address that is short', '::ffff:127.1'],
  ['a mapped address with a zone id', '::ffff:1.2.3.4%1'],
  ['a trailing line feed after IPv6', '::1\n'],
];

const CANONICAL: [string, string][] = [
  ['0.0.0.0', '0.0.0.0'],
  ['255.255.255.255', '255.255.255.255'],
  ['::', '::'],
  ['0:0:0:0:0:0:0:0', '::'],
  ['::1', '::1'],
  ['1::', '1::'],
  ['2001:DB8::0001', '2001:db8::1'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
  ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ['::1.2.3.4', '::102:304'],
  ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ['::ffff:1.2.3.4', '1.2.3.4'],
  ['::FFFF:102:304', '1.2.3.4'],
  ['0:0:0:0:0:ffff:255.255.255.255', '255.255.255.255'],
  ['::fffe:1.2.3.4', '::fffe:102:304'],
  ['::1:ffff:1.2.3.4', '::1:ffff:102:304'],
];

/** The text that the URL parser makes of an IPv6 address: a serializer that shares nothing with ours. */
const byUrlParser = (text: string) => new URL(`http://[${text}]/`).hostname.slice(1, -1);

const group = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff }) });

describe('parseAddress', () => {
  it.each(REFUSED)('refuses %s', (_, text) => {
    expect(parseAddress(text)).toBeNull();
  });

  it.each(CANONICAL)('writes %s as %s', (text, canonical) => {
    expect(parseAddress(text)?.text).toBe(canonical);
  });

  it('takes an IPv4-mapped address for its IPv4 address', () => {
    expect(parseAddress('::ffff:192.0.2.7')).toEqual(parseAddress('192.0.2.7'));
    expect(parseAddress('192.0.2.7')).toEqual({ family: 4, words: [0xc0000207], text: '192.0.2.7' });
  });

  it('reads every IPv4 address to its number', () => {
    fc.assert(
      fc.property(fc.tuple(...(new Array(4).fill(fc.nat(255)) as [fc.Arbitrary<number>])), (bytes) => {
        const text = bytes.join('.');
        expect(parseAddress(text)).toEqual({ family: 4, words: [Buffer.from(bytes).readUInt32BE()], text });
      }),
    );
  });

  it('reads every IPv6 address, however its groups are written, and writes it as RFC 5952 says', () => {
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), fc.boolean(), (groups, upper) => {
        const digits = groups.map((value) => value.toString(16).padStart(4, '0'));
        const written = digits.join(':');
        const canonical = byUrlParser(written);
        const address = parseAddress(upper ? written.toUpperCase() : written);
        if (canonical.startsWith('::ffff:') && groups[5] === 0xffff) return expect(address?.family).toBe(4);
        const bytes = Buffer.from(digits.join(''), 'hex');
        expect(address).toEqual({ family: 6, words: [0, 4, 8, 12].map((at) => bytes.readUInt32BE(at)), text: canonical });
        return expect(parseAddress(canonical)).toEqual(address);
      }),
    );
  });

  it('takes nothing that the platform would not take', () => {
    const near = fc.string({ unit: fc.constantFrom(...'0123456789abcfx.:%/ \n'), maxLength: 20 });
    fc.assert(
      fc.property(near, (text) => {
        expect(parseAddress(text) !== null).toBe(isIP(text) !== 0 && !text.includes('%'));
      }),
      { numRuns: 2000 },
    );
  });
});

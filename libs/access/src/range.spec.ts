import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseAddress } from './address.ts';
import { parseRange, RangeFormatError } from './range.ts';

const NOT_AN_ADDRESS = 'is not an IPv4 or IPv6 address or CIDR range';
const PREFIX_4 = 'needs a prefix from 0 to 32, in decimal without leading zeros';
const PREFIX_6 = 'needs a prefix from 0 to 128, in decimal without leading zeros';

const REFUSED: [string, string][] = [
  ['', NOT_AN_ADDRESS],
  ['/8', NOT_AN_ADDRESS],
  ['*', NOT_AN_ADDRESS],
  ['example.org', NOT_AN_ADDRESS],
  ['10.0.0/8', NOT_AN_ADDRESS],
  ['010.0.0.0/8', NOT_AN_ADDRESS],
  [' 10.0.0.0/8', NOT_AN_ADDRESS],
  ['10.0.0.0 /8', NOT_AN_ADDRESS],
  ['10.0.0.1-10.0.0.9', NOT_AN_ADDRESS],
  ['fe80::%eth0/64', NOT_AN_ADDRESS],
  ['10.0.0.0/', PREFIX_4],
  ['10.0.0.0/33', PREFIX_4],
  ['10.0.0.0/08', PREFIX_4],
  ['10.0.0.0/+8', PREFIX_4],
  ['10.0.0.0/-1', PREFIX_4],
  ['10.0.0.0/8.0', PREFIX_4],
  ['10.0.0.0/8/8', PREFIX_4],
  ['10.0.0.0/8\n', PREFIX_4],
  ['10.0.0.0/٨', PREFIX_4],
  ['10.0.0.0/255.0.0.0', PREFIX_4],
  ['2001:db8::/129', PREFIX_6],
  ['2001:db8::/1e1', PREFIX_6],
  ['10.0.0.1/8', 'has bits set beyond its prefix: the range is 10.0.0.0/8'],
  ['0.0.0.1/0', 'has bits set beyond its prefix: the range is 0.0.0.0/0'],
  ['2001:db8:0:1::1/64', 'has bits set beyond its prefix: the range is 2001:db8:0:1::/64'],
  ['::ffff:1.2.3.4/120', 'has bits set beyond its prefix: the range is 1.2.3.0/24'],
  ['::ffff:0:0/95', 'has bits set beyond its prefix: the range is ::fffe:0:0/95'],
  ['2001:DB8::/32', 'is not in canonical form, which is 2001:db8::/32'],
  ['2001:db8:0::/32', 'is not in canonical form, which is 2001:db8::/32'],
  ['::1.2.3.4', 'is not in canonical form, which is ::102:304'],
  ['::ffff:1.2.3.4', 'is an IPv4-mapped range: its IPv4 form is 1.2.3.4'],
  ['::ffff:102:304/128', 'is an IPv4-mapped range: its IPv4 form is 1.2.3.4/32'],
  ['::ffff:0:0/96', 'is an IPv4-mapped range: its IPv4 form is 0.0.0.0/0'],
];

describe('parseRange', () => {
  it.each(REFUSED)('refuses %j', (text, sentence) => {
    expect(() => parseRange(text)).toThrow(new RangeFormatError(`${JSON.stringify(text)} ${sentence}`));
  });

  it('quotes no more than the first 64 characters, and no control character', () => {
    const text = `\u001b[31m${'x'.repeat(10_000)}`;
    expect(() => parseRange(text)).toThrow(new RangeFormatError(`"\\u001b[31m${'x'.repeat(59)}…" ${NOT_AN_ADDRESS}`));
  });

  it.each([
    ['192.0.2.7', 4, 32],
    ['192.0.2.7/32', 4, 32],
    ['192.0.2.0/24', 4, 24],
    ['0.0.0.0/0', 4, 0],
    ['2001:db8::1', 6, 128],
    ['2001:db8::1/128', 6, 128],
    ['2001:db8::/33', 6, 33],
    ['::/0', 6, 0],
    ['::/80', 6, 80],
  ])('takes %s', (text, family, prefix) => {
    const words = parseAddress(text.replace(/\/.*/, ''))?.words;
    expect(parseRange(text)).toEqual({ family, words, prefix, text });
  });

  it('names a form that is then taken, whatever the address and prefix', () => {
    const hex = fc
      .array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 })
      .map((groups) => groups.map((g) => g.toString(16)).join(':'));
    const cases = fc.oneof(fc.tuple(fc.ipV4(), fc.nat(32)), fc.tuple(hex, fc.nat(128)), fc.tuple(fc.ipV6(), fc.nat(128)));
    fc.assert(
      fc.property(cases, ([address, prefix]) => {
        let text = `${address}/${prefix}`;
        // Two corrections may be needed: the bits beyond the prefix, then the IPv4 form.
        for (let corrections = 0; corrections < 2; corrections += 1) text = corrected(text);
        expect(parseRange(text).text).toBe(text);
      }),
    );
  });
});

function corrected(text: string): string {
  try {
    return parseRange(text).text;
  } catch (error) {
    return (error as Error).message.split(' ').at(-1) ?? '';
  }
}

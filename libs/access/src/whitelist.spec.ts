import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseAddress } from './address.ts';
import { parseRange } from './range.ts';
import { allowsAddress, compileWhitelist, type Whitelist } from './whitelist.ts';

/** The decision for an address as text: what cannot be parsed is not known. */
const allows = (whitelist: Whitelist, text: string | null) => allowsAddress(whitelist, text === null ? null : parseAddress(text));

const compile = (...texts: string[]) => compileWhitelist(texts.map(parseRange));

/** An address or range as plain data: its length in bits, and its bits as one big number. */
interface Bits {
  length: 32 | 128;
  value: bigint;
  prefix: number;
}

/** The slow reference: both as strings of 0 and 1, mapped addresses turned into IPv4, and one must begin with the other's prefix. */
function reference(ranges: Bits[], address: Bits): boolean {
  const client = unmap(address);
  return ranges.some((range) => range.length === client.length && bitString(client).startsWith(bitString(range).slice(0, range.prefix)));
}
const bitString = ({ length, value }: Bits) => value.toString(2).padStart(length, '0');
function unmap(bits: Bits): Bits {
  const isMapped = bits.length === 128 && bits.value >> 32n === 0xffffn;
  return isMapped ? { length: 32, value: BigInt.asUintN(32, bits.value), prefix: 32 } : bits;
}

function write({ length, value }: Bits): string {
  if (length === 32) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.');
  const groups = value.toString(16).padStart(32, '0').match(/.{4}/g) ?? [];
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
}
const clearHostBits = (bits: Bits): Bits => {
  const hostBits = BigInt(bits.length - bits.prefix);
  return { ...bits, value: (bits.value >> hostBits) << hostBits };
};
const writeRange = (bits: Bits) => (bits.prefix === bits.length ? write(bits) : `${write(bits)}/${bits.prefix}`);

/** Values that meet at the borders of words and families, besides any others. */
const value = (length: 32 | 128) =>
  fc.oneof(
    fc.bigInt({ min: 0n, max: (1n << BigInt(length)) - 1n }),
    fc.nat(length - 1).map((bit) => 1n << BigInt(bit)),
    fc.nat(length).map((bit) => (1n << BigInt(bit)) - 1n),
    fc.constantFrom(0n, 0xffff00000000n % (1n << BigInt(length)), 0xffff01020304n % (1n << BigInt(length))),
  );
const bits = fc
  .constantFrom<(32 | 128)[]>(32, 128)
  .chain((length) => fc.record({ length: fc.constant(length), value: value(length), prefix: fc.nat(length) }));
const ranges = fc
  .array(bits.map(clearHostBits), { maxLength: 6 })
  .map((list) => list.filter((range) => !(range.length === 128 && range.value >> 32n === 0xffffn)));

describe('compileWhitelist', () => {
  it('decides as the slow reference, for any address', () => {
    fc.assert(
      fc.property(ranges, bits, (list, address) => {
        expect(allows(compile(...list.map(writeRange)), write(address))).toBe(reference(list, address));
      }),
      { numRuns: 2000 },
    );
  });

  it('decides as the slow reference for an address that differs from a range in one bit', () => {
    const cases = bits.map(clearHostBits).filter((range) => !(range.length === 128 && range.value >> 32n === 0xffffn));
    fc.assert(
      fc.property(cases, fc.nat(127), (range, bit) => {
        const near = { ...range, value: range.value ^ (1n << BigInt(bit % range.length)) };
        const whitelist = compile(writeRange(range));
        expect(allows(whitelist, write(range))).toBe(true);
        expect(allows(whitelist, write(near))).toBe(reference([range], near));
      }),
      { numRuns: 2000 },
    );
  });

  it('lets nobody in when it is empty', () => {
    const whitelist = compile();
    for (const text of ['0.0.0.0', '127.0.0.1', '::', '::1', '::ffff:127.0.0.1']) expect(allows(whitelist, text)).toBe(false);
  });

  it('takes 0.0.0.0/0 for every IPv4 address, mapped or not, and for no IPv6 address', () => {
    const whitelist = compile('0.0.0.0/0');
    for (const text of ['0.0.0.0', '255.255.255.255', '::ffff:192.0.2.1']) expect(allows(whitelist, text)).toBe(true);
    for (const text of ['::', '::1', '::192.0.2.1', '2001:db8::1']) expect(allows(whitelist, text)).toBe(false);
  });

  it('takes ::/0 for every IPv6 address, and for no IPv4 address, mapped or not', () => {
    const whitelist = compile('::/0');
    for (const text of ['::', '::1', '::192.0.2.1', 'ffff::']) expect(allows(whitelist, text)).toBe(true);
    for (const text of ['0.0.0.0', '192.0.2.1', '::ffff:192.0.2.1']) expect(allows(whitelist, text)).toBe(false);
  });

  it('does not change when the list that it was made of does', () => {
    const list = [parseRange('192.0.2.0/24')];
    const whitelist = compileWhitelist(list);
    list.push(parseRange('0.0.0.0/0'));
    expect(allows(whitelist, '198.51.100.1')).toBe(false);
  });
});

describe('allowsAddress', () => {
  it.each([null, '', 'unknown', '192.0.2.1:443', '192.0.2.1\n', '0300.0.2.1', '192.0.2.1, 192.0.2.2'])('lets %j in nowhere', (text) => {
    const asked: unknown[] = [];
    expect(allows((address) => asked.push(address) > 0, text)).toBe(false);
    expect(asked).toEqual([]);
  });

  it('asks the list about the address that was read', () => {
    expect(allows((address) => address.text === '192.0.2.1', '::ffff:c000:201')).toBe(true);
    expect(parseAddress('::ffff:c000:201')?.family).toBe(4);
  });
});

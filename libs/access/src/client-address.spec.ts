import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseAddress } from './address.ts';
import { clientAddress, parseTrustedProxies } from './client-address.ts';
import { RangeFormatError } from './range.ts';
import { compileWhitelist } from './whitelist.ts';

const PROXIES = compileWhitelist(parseTrustedProxies('10.0.0.0/8, 2001:db8::1'));
const find = (peer: string | undefined, header?: string) => clientAddress(peer, header, PROXIES)?.text ?? null;

describe('clientAddress', () => {
  it.each<[string, string | undefined, string | undefined, string | null]>([
    ['no peer', undefined, '192.0.2.1', null],
    ['a peer that is no address', 'unix:', '192.0.2.1', null],
    ['an untrusted peer', '198.51.100.1', undefined, '198.51.100.1'],
    ['an untrusted peer that claims a hop', '198.51.100.1', '192.0.2.1', '198.51.100.1'],
    ['an untrusted peer with a broken header', '198.51.100.1', 'x', '198.51.100.1'],
    ['a trusted peer without a header', '10.0.0.1', undefined, '10.0.0.1'],
    ['a trusted peer with an empty header', '10.0.0.1', '', '10.0.0.1'],
    ['a trusted peer with a header of spaces', '10.0.0.1', ' \t ', '10.0.0.1'],
    ['one hop', '10.0.0.1', '192.0.2.1', '192.0.2.1'],
    ['a trusted peer in IPv4-mapped form', '::ffff:10.0.0.1', '192.0.2.1', '192.0.2.1'],
    ['a trusted IPv6 peer', '2001:db8::1', '2001:DB8::2', '2001:db8::2'],
    ['a forged hop on the left', '10.0.0.1', '203.0.113.9, 192.0.2.1', '192.0.2.1'],
    ['a forged proxy on the left', '10.0.0.1', '10.9.9.9, 192.0.2.1', '192.0.2.1'],
    ['trusted hops on the right', '10.0.0.1', '203.0.113.9, 192.0.2.1,10.0.0.3 ,\t10.0.0.2', '192.0.2.1'],
    ['trusted hops only', '10.0.0.1', '10.0.0.4, 10.0.0.3', '10.0.0.4'],
    ['nonsense left of the client', '10.0.0.1', 'nonsense, 192.0.2.1', '192.0.2.1'],
    ['nonsense on the walk', '10.0.0.1', '192.0.2.1, nonsense', null],
    ['nonsense behind a trusted hop', '10.0.0.1', '192.0.2.1, unknown, 10.0.0.2', null],
    ['a hop with a port', '10.0.0.1', '192.0.2.1:4444', null],
    ['a hop in brackets', '10.0.0.1', '[2001:db8::2]', null],
    ['a hop in octal', '10.0.0.1', '0300.0.2.1', null],
    ['a hop with a line feed', '10.0.0.1', '192.0.2.1\n', null],
    ['an empty last hop', '10.0.0.1', '192.0.2.1,', null],
    ['an empty first hop that is reached', '10.0.0.1', ',10.0.0.2', null],
    ['commas only', '10.0.0.1', ',', null],
  ])('%s', (_, peer, header, expected) => {
    expect(find(peer, header)).toBe(expected);
  });

  it('finds what the slow reference finds', () => {
    const hop = fc.constantFrom(
      '10.0.0.1',
      '10.0.0.2',
      '192.0.2.1',
      '198.51.100.7',
      '2001:db8::1',
      '2001:db8::2',
      'unknown',
      '',
      '10.0.0.1:80',
    );
    const space = fc.constantFrom('', ' ', '\t', '  ');
    const member = fc.tuple(space, hop, space).map((parts) => parts.join(''));
    fc.assert(
      fc.property(hop, fc.array(member, { maxLength: 5 }), (peer, hops) => {
        expect(find(peer, hops.join(','))).toBe(reference(peer, hops));
      }),
      { numRuns: 2000 },
    );
  });

  it('is no worse than linear in a header full of spaces or commas', () => {
    expect(find('10.0.0.1', `${' '.repeat(500_000)}x${' '.repeat(500_000)}y`)).toBeNull();
    expect(find('10.0.0.1', `${' '.repeat(500_000)}192.0.2.1`)).toBe('192.0.2.1');
    expect(find('10.0.0.1', '10.0.0.2,'.repeat(50_000) + '10.0.0.3')).toBe('10.0.0.2');
  });
});

/** Written another way: the whole chain as a list, from the client to the peer, cut at its last untrusted member. */
function reference(peer: string, members: string[]): string | null {
  const hops = members.map((member) => member.trim());
  const chain = [...(hops.join('') === '' && hops.length < 2 ? [] : hops), peer];
  const client = chain.findLastIndex((hop) => !/^10\.0\.0\.\d$|^2001:db8::1$/.test(hop));
  const found = chain[Math.max(client, 0)] ?? '';
  return parseAddress(found) === null ? null : found;
}

describe('parseTrustedProxies', () => {
  it('reads addresses and ranges with spaces around them', () => {
    expect(parseTrustedProxies(' 10.0.0.0/8,2001:db8::1\t').map(({ text }) => text)).toEqual(['10.0.0.0/8', '2001:db8::1']);
  });

  it.each(['', ' '])('reads %j as an empty list', (list) => {
    expect(parseTrustedProxies(list)).toEqual([]);
  });

  it.each(['10.0.0.1,', ',', '10.0.0.1 10.0.0.2', 'loopback', '10.0.0.1/8', 'true'])('refuses %j', (list) => {
    expect(() => parseTrustedProxies(list)).toThrow(RangeFormatError);
  });
});

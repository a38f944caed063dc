import { parseAddress, type Address } from './address.ts';
import { parseRange, type Range } from './range.ts';

/**
 * Reads a comma-separated list of proxies to trust: addresses and ranges in canonical form, with or without spaces around them. An empty
 * text is an empty list. Throws {@link RangeFormatError} with one sentence about the first member that is wrong.
 */
export function parseTrustedProxies(list: string): Range[] {
  if (trim(list) === '') return [];
  return list.split(',').map((member) => parseRange(trim(member)));
}

/**
 * Finds the client's address: the socket's peer unless it is a trusted proxy, else the right-most hop of `X-Forwarded-For` that is not one.
 * Each trusted proxy appended the address that it saw, so what stands right of the first untrusted hop is true, and what stands left of it
 * is the client's own claim and is never read. Where all hops are trusted, the left-most is the client; where a trusted peer sent no hops,
 * the peer is.
 *
 * Answers `null`, which lets nobody in, when the peer or a hop met on that walk is not an address (a port is not taken either).
 */
export function clientAddress(
  peer: string | undefined,
  xForwardedFor: string | undefined,
  trusted: (address: Address) => boolean,
): Address | null {
  const nearest = peer === undefined ? null : parseAddress(peer);
  if (nearest === null || !trusted(nearest)) return nearest;
  const hops = trim(xForwardedFor ?? '');
  if (hops === '') return nearest;
  return rightmostUntrusted(hops, trusted);
}

function rightmostUntrusted(hops: string, trusted: (address: Address) => boolean): Address | null {
  let end = hops.length;
  for (;;) {
    const comma = end === 0 ? -1 : hops.lastIndexOf(',', end - 1);
    const hop = parseAddress(trim(hops.slice(comma + 1, end)));
    if (hop === null || comma < 0 || !trusted(hop)) return hop;
    end = comma;
  }
}

/**
 * Drops the optional white space of an HTTP field (RFC 9110, section 5.6.3): space and tab, and no other. A loop, because a pattern that
 * looks for spaces at an end takes quadratic time over a header that a client fills with them.
 */
function trim(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text[start])) start += 1;
  while (end > start && isSpace(text[end - 1])) end -= 1;
  return text.slice(start, end);
}

function isSpace(character: string | undefined): boolean {
  return character === ' ' || character === '\t';
}

import type { Address } from './address.ts';
import { prefixMask, type Range } from './range.ts';

/** Whether a list of ranges holds an address. Pure, and allocates nothing. */
export type Whitelist = (address: Address) => boolean;

/**
 * Compiles ranges into one function. An empty list holds no address. `0.0.0.0/0` holds every IPv4 address and no IPv6 address; `::/0` holds
 * every IPv6 address but the IPv4-mapped ones, since those are IPv4 addresses here (see {@link Address}).
 */
export function compileWhitelist(ranges: readonly Range[]): Whitelist {
  const holds4 = compileFamily(ranges, 4);
  const holds6 = compileFamily(ranges, 6);
  return (address) => (address.family === 4 ? holds4(address.words) : holds6(address.words));
}

/**
 * The decision whether a client may have what a whitelist guards. A client whose address is not known, or was no address, is not let in,
 * whatever the list holds.
 */
export function allowsAddress(whitelist: Whitelist, address: Address | null): boolean {
  return address !== null && whitelist(address);
}

/** Lays the ranges of one family out flat, word by word, so that a look-up reads memory in order and makes nothing. */
function compileFamily(ranges: readonly Range[], family: 4 | 6): (words: readonly number[]) => boolean {
  const own = ranges.filter((range) => range.family === family);
  const width = family === 4 ? 1 : 4;
  const bases = Int32Array.from(own.flatMap(({ words }) => words));
  const masks = Int32Array.from(own.flatMap(({ words, prefix }) => words.map((_, index) => prefixMask(prefix, index))));

  // Each index is in bounds, so the assertions hold: a list has `width` words a range, and an address of the family has `width` words.
  return (words) => {
    for (let start = 0; start < bases.length; start += width) {
      let difference = 0;
      for (let index = 0; index < width; index += 1) {
        difference |= ((words[index] as number) ^ (bases[start + index] as number)) & (masks[start + index] as number);
      }
      if (difference === 0) return true;
    }
    return false;
  };
}

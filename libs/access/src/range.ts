import { addressOf, isMapped, parseUnmapped, type Address } from './address.ts';

/** A single address or a CIDR range (RFC 4632, RFC 4291 section 2.3), in canonical form. */
export interface Range {
  readonly family: 4 | 6;
  /** The range's first address, as {@link Address.words}; every bit beyond the prefix is zero. */
  readonly words: readonly number[];
  /** How many leading bits an address shares with the range: 0 to 32 or 0 to 128. A single address has them all. */
  readonly prefix: number;
  /** The canonical text, which is the text that was read. */
  readonly text: string;
}

/** A text that is not a range; the message is one sentence that names the text and what is wrong with it. */
export class RangeFormatError extends Error {
  override readonly name = 'RangeFormatError';
}

const WORD_BITS = 32;
const PREFIX = /^(?:0|[1-9][0-9]{0,2})$/;
/** More than any range needs: what is longer is cut before it stands in a sentence. */
const QUOTED_CHARACTERS = 64;

/**
 * Reads an address (`192.0.2.7`) or a CIDR range (`192.0.2.0/24`, `2001:db8::/32`) in canonical form only: what an owner reads in a list is
 * then exactly what is compared. An address with its full prefix (`192.0.2.7/32`) is canonical too, and is kept as it was written.
 * Throws {@link RangeFormatError} for anything else.
 */
export function parseRange(text: string): Range {
  const slash = text.indexOf('/');
  const addressText = slash < 0 ? text : text.slice(0, slash);
  const address = parseUnmapped(addressText);
  if (address === null) throw wrong(text, 'is not an IPv4 or IPv6 address or CIDR range');
  const bits = address.words.length * WORD_BITS;
  const prefix = slash < 0 ? bits : parsePrefix(text, text.slice(slash + 1), bits);
  const suffix = slash < 0 ? '' : `/${prefix}`;

  const first = firstAddress(address, prefix);
  if (first.text !== address.text) throw wrong(text, `has bits set beyond its prefix: the range is ${ipv4Form(first, prefix, suffix)}`);
  if (isMapped(address)) throw wrong(text, `is an IPv4-mapped range: its IPv4 form is ${ipv4Form(address, prefix, suffix)}`);
  if (addressText !== address.text) throw wrong(text, `is not in canonical form, which is ${address.text}${suffix}`);
  return { family: address.family, words: address.words, prefix, text };
}

/** The bits of word `index` that a prefix covers, as a 32-bit mask (signed, as the bit operators have it). */
export function prefixMask(prefix: number, index: number): number {
  const covered = Math.min(Math.max(prefix - index * WORD_BITS, 0), WORD_BITS);
  // A shift by 32 is a shift by 0 in ECMAScript, so no covered bit is a case of its own.
  return covered === 0 ? 0 : -1 << (WORD_BITS - covered);
}

function parsePrefix(text: string, digits: string, bits: number): number {
  if (!PREFIX.test(digits) || Number(digits) > bits)
    throw wrong(text, `needs a prefix from 0 to ${bits}, in decimal without leading zeros`);
  return Number(digits);
}

function firstAddress({ family, words }: Address, prefix: number): Address {
  const masked = words.map((word, index) => (word & prefixMask(prefix, index)) >>> 0);
  return addressOf(family, masked);
}

/** How a range is to be written: a mapped one as the IPv4 range that it means, any other as it is. */
function ipv4Form(first: Address, prefix: number, suffix: string): string {
  if (!isMapped(first)) return `${first.text}${suffix}`;
  return `${addressOf(4, first.words.slice(3)).text}${suffix === '' ? '' : `/${prefix - 96}`}`;
}

function wrong(text: string, sentence: string): RangeFormatError {
  // JSON escapes control characters and lone surrogates, so that the sentence is safe in a log line and in a body.
  const quoted = JSON.stringify(text.length <= QUOTED_CHARACTERS ? text : `${text.slice(0, QUOTED_CHARACTERS)}…`);
  return new RangeFormatError(`${quoted} ${sentence}`);
}

import { isIP } from 'node:net';

/** An IPv4 or IPv6 address. An IPv4-mapped IPv6 address (`::ffff:a.b.c.d`) is never family 6: it is its IPv4 address. */
export interface Address {
  readonly family: 4 | 6;
  /** The address's bits as unsigned 32-bit integers, most significant first: one for IPv4, four for IPv6. */
  readonly words: readonly number[];
  /** The one canonical text: dotted quad for IPv4, RFC 5952 for IPv6. */
  readonly text: string;
}

/** The third word of an IPv4-mapped address `::ffff:0:0/96` (RFC 4291, section 2.5.5.2); the two before it are zero. */
const MAPPED_MARK = 0xffff;

/**
 * Every character that an address may have. It is checked on its own because `isIP` takes zone ids (`fe80::1%eth0`), which name an
 * interface of one machine and mean nothing in a list, and so that no control character depends on how `isIP` ends a string.
 */
const ADDRESS_CHARACTERS = /^[0-9a-fA-F:.]+$/;

/**
 * Reads an address strictly: four decimal numbers without leading zeros, or the text forms of RFC 4291, section 2.2. Octal, hexadecimal and
 * short IPv4 forms, ports, brackets, zone ids and spaces are refused, because what two programs read in two ways can pass a list unseen.
 * Answers `null` for anything that is not an address.
 */
export function parseAddress(text: string): Address | null {
  const address = parseUnmapped(text);
  if (address === null || !isMapped(address)) return address;
  return addressOf(4, address.words.slice(3));
}

/** As {@link parseAddress}, but an IPv4-mapped address stays the IPv6 address that was written. */
export function parseUnmapped(text: string): Address | null {
  if (!ADDRESS_CHARACTERS.test(text)) return null;
  switch (isIP(text)) {
    case 4:
      return addressOf(4, [readQuad(text)]);
    case 6:
      return addressOf(6, readGroups(text));
    default:
      return null;
  }
}

/** Whether an address is an IPv6 address of `::ffff:0:0/96`. */
export function isMapped({ family, words }: Address): boolean {
  return family === 6 && words[0] === 0 && words[1] === 0 && words[2] === MAPPED_MARK;
}

/** The address of these bits: one unsigned 32-bit word for family 4, four for family 6. */
export function addressOf(family: 4 | 6, words: readonly number[]): Address {
  return { family, words, text: family === 4 ? writeQuad(words) : writeGroups(words) };
}

function readQuad(text: string): number {
  return text.split('.').reduce((word, byte) => word * 256 + Number(byte), 0);
}

function readGroups(text: string): number[] {
  const [head = '', tail] = text.split('::');
  const left = readHalf(head);
  const right = readHalf(tail ?? '');
  const zeros = new Array<number>(8 - left.length - right.length).fill(0);
  return pairUp([...left, ...zeros, ...right]);
}

/** The 16-bit groups on one side of `::`; the last may be written as a dotted quad, which is two groups. */
function readHalf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [parseInt(group, 16)];
    const word = readQuad(group);
    return [word >>> 16, word & 0xffff];
  });
}

function pairUp(groups: readonly number[]): number[] {
  return [0, 2, 4, 6].map((at) => (groups[at] ?? 0) * 0x10000 + (groups[at + 1] ?? 0));
}

function writeQuad([word = 0]: readonly number[]): string {
  return [word >>> 24, (word >>> 16) & 0xff, (word >>> 8) & 0xff, word & 0xff].join('.');
}

/** RFC 5952, section 4: no leading zeros, lower case, `::` for the longest run of two or more zero groups, the first of equals. */
function writeGroups(words: readonly number[]): string {
  const groups = words.flatMap((word) => [word >>> 16, word & 0xffff]);
  const run = longestZeroRun(groups);
  const write = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  if (run.length < 2) return write(groups);
  return `${write(groups.slice(0, run.start))}::${write(groups.slice(run.start + run.length))}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let longest = { start: 0, length: 0 };
  let length = 0;
  groups.forEach((group, index) => {
    length = group === 0 ? length + 1 : 0;
    if (length > longest.length) longest = { start: index - length + 1, length };
  });
  return longest;
}

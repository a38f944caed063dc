import { z } from 'zod';

/** An id: 24 lower-case hexadecimal digits, time-ordered to the second. */
export const Id = z.string().regex(/^[0-9a-f]{24}$/, 'must be 24 lower-case hexadecimal digits');
export type Id = z.infer<typeof Id>;

const SLUG = /^[a-z0-9](?:[a-z0-9-]{0,126}[a-z0-9])?$/;

/** A handler: the slug under which clients name an entry, 1 to 128 characters. */
export const Handler = z.string().regex(SLUG, 'must be a slug: 1 to 128 lower-case letters, digits and inner hyphens');
export type Handler = z.infer<typeof Handler>;

/** Whether a text is a {@link Handler}: the same rule, without the cost of a schema. */
export const isHandler = (text: string): text is Handler => SLUG.test(text);

export const Environment = z.enum(['production', 'staging']);
export type Environment = z.infer<typeof Environment>;

/** What an id generator takes from outside, so that it is a pure function of it. */
export interface IdSources {
  /** Milliseconds since the epoch. */
  now(): number;
  /** `length` bytes from a cryptographic random generator. */
  randomBytes(length: number): Uint8Array;
}

const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0');

/**
 * Makes ids of 12 bytes: 4 of seconds, 5 that are random for the generator's life, 3 of a counter that starts at random and wraps
 * (the layout of a BSON ObjectId). Ids of one generator are unique for up to 2^24 a second.
 */
export function createIdGenerator({ now, randomBytes }: IdSources): () => Id {
  const own = Buffer.from(randomBytes(5)).toString('hex');
  let counter = Buffer.from(randomBytes(3)).readUIntBE(0, 3);
  let second = -1;
  let prefix = '';
  return () => {
    const current = Math.floor(now() / 1000);
    if (current !== second) {
      second = current;
      prefix = hex(current, 8) + own;
    }
    counter = (counter + 1) & 0xffffff;
    return prefix + hex(counter, 6);
  };
}

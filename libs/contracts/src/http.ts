import { z } from 'zod';
import type { Environment } from './identifiers.ts';
import { Handler, Id } from './identifiers.ts';

/** The version of the HTTP contract: the first segment of every path. */
export const API_VERSION = '2026-02-01';

/** Largest content of a version, in bytes after decoding. */
export const MAX_CONTENT_BYTES = 64 * 1024;
/** Largest request body, in bytes. */
export const MAX_BODY_BYTES = 256 * 1024;
export const MAX_WHITELIST_RANGES = 256;
export const MAX_PROPERTIES = 64;
/** Largest sum of the UTF-8 bytes of all property names and values. */
export const MAX_PROPERTIES_BYTES = 16 * 1024;
/** Largest JSON of all properties, in bytes: control characters take six each there, and an event holds all of it. */
export const MAX_PROPERTIES_JSON_BYTES = 40 * 1024;

const utf8Length = (text: string) => Buffer.byteLength(text, 'utf8');

export const Encoding = z.enum(['utf8', 'base64']);
export type Encoding = z.infer<typeof Encoding>;

const Name = z.string().min(1).max(200);

/** Text that PostgreSQL and UTF-8 can hold: no NUL, no unpaired surrogate. */
const isStorable = (text: string) => !text.includes('\u0000') && text.isWellFormed();

const Properties = z
  .record(
    z.string().min(1).refine(isStorable, 'must be well-formed text without NUL'),
    z.string().refine(isStorable, 'must be well-formed text without NUL'),
  )
  .refine((properties) => Object.keys(properties).length <= MAX_PROPERTIES, `at most ${MAX_PROPERTIES} properties`)
  .refine(
    (properties) =>
      Object.entries(properties).reduce((sum, [key, value]) => sum + utf8Length(key) + utf8Length(value), 0) <= MAX_PROPERTIES_BYTES,
    `at most ${MAX_PROPERTIES_BYTES} bytes of properties together`,
  )
  .refine(
    (properties) => utf8Length(JSON.stringify(properties)) <= MAX_PROPERTIES_JSON_BYTES,
    `at most ${MAX_PROPERTIES_JSON_BYTES} bytes of properties together as JSON`,
  );

/** Ranges as text; that each is a canonical address or CIDR range is checked with `@kms/access` where the body is taken in. */
const Whitelist = z.array(z.string()).max(MAX_WHITELIST_RANGES);

const ExpiresAt = z.iso.datetime({ offset: true }).nullable();

const Content = { content: z.string(), encoding: Encoding.default('utf8') };

/** Bytes of a content as given in a body, or `null` where it is not what its encoding says (strict base64, well-formed text). */
export function decodeContent(content: string, encoding: Encoding): Uint8Array | null {
  if (encoding === 'utf8') return content.isWellFormed() ? Buffer.from(content, 'utf8') : null;
  const bytes = Buffer.from(content, 'base64');
  return bytes.toString('base64') === content ? bytes : null;
}

const contentRule = { message: `must be what its encoding says, and at most ${MAX_CONTENT_BYTES} bytes`, path: ['content'] };
const contentFits = ({ content, encoding }: { content: string; encoding: Encoding }) => {
  const bytes = decodeContent(content, encoding);
  return bytes !== null && bytes.length <= MAX_CONTENT_BYTES;
};

/** The body of `POST /kms.json`. */
export const CreateEntryBody = z.strictObject({
  kmsEntry: z
    .strictObject({
      name: Name.refine(isStorable, 'must be well-formed text without NUL'),
      handler: Handler,
      ...Content,
      whitelist: Whitelist.default([]),
      properties: Properties.default({}),
      expiresAt: ExpiresAt.default(null),
    })
    .refine(contentFits, contentRule),
});
export type CreateEntryBody = z.infer<typeof CreateEntryBody>;

/** The body of `PATCH /kms/{handler}.json`: the members that are there change, the others stay. */
export const UpdateEntryBody = z.strictObject({
  kmsEntry: z.strictObject({
    name: Name.refine(isStorable, 'must be well-formed text without NUL').optional(),
    whitelist: Whitelist.optional(),
    properties: Properties.optional(),
    expiresAt: ExpiresAt.optional(),
    enabled: z.boolean().optional(),
  }),
});
export type UpdateEntryBody = z.infer<typeof UpdateEntryBody>;

/** The body of `POST /kms/{handler}/versions.json`. */
export const AddVersionBody = z.strictObject({ kmsEntry: z.strictObject(Content).refine(contentFits, contentRule) });
export type AddVersionBody = z.infer<typeof AddVersionBody>;

const integer = (name: string, minimum: number, maximum: number) =>
  z
    .string()
    .regex(/^[0-9]{1,15}$/, `${name} must be an integer from ${minimum} to ${maximum}`)
    .transform(Number)
    .refine((value) => value >= minimum && value <= maximum, `${name} must be an integer from ${minimum} to ${maximum}`);

const page = {
  size: integer('size', 1, 100).default(100),
  page: integer('page', 1, 2 ** 31 - 1).default(1),
};

/** The query of `GET /kms.json`. */
export const InventoryQuery = z.strictObject(page);
export type InventoryQuery = z.infer<typeof InventoryQuery>;

/** The query of `GET /kms/reveal/{handler}.json`. */
export const RevealQuery = z.strictObject({ version: integer('version', 1, 2 ** 31 - 1).optional() });

/** The query of `GET /audit.json`. `ip` is an address or a CIDR range, checked with `@kms/access`; `from` is inclusive, `to` exclusive. */
export const AuditQuery = z.strictObject({
  ...page,
  handler: Handler.optional(),
  outcome: z.enum(['success', 'denied', 'error']).optional(),
  apiKey: Id.optional(),
  ip: z.string().max(64).optional(),
  from: z.iso.datetime({ offset: true }).optional(),
  to: z.iso.datetime({ offset: true }).optional(),
});
export type AuditQuery = z.infer<typeof AuditQuery>;

/** The query of `GET /audit/consistency.json`: two tree sizes, `from` not above `to`. */
export const ConsistencyQuery = z
  .strictObject({ from: integer('from', 0, Number.MAX_SAFE_INTEGER), to: integer('to', 0, Number.MAX_SAFE_INTEGER) })
  .refine(({ from, to }) => from <= to, 'from must not be above to');
export type ConsistencyQuery = z.infer<typeof ConsistencyQuery>;

/** One page of a list. `pages.max` is at least 1; a page past the last has no elements. */
export interface Page<Entities extends string, Element> {
  entities: Entities;
  count: number;
  per_page: number;
  pages: { current: number; max: number };
  elements: Element[];
}

/** Frames one page's elements as the contract's list. `count` is the number of all elements, over all pages. */
export function toPage<Entities extends string, Element>(
  entities: Entities,
  count: number,
  { size, page: current }: { size: number; page: number },
  elements: Element[],
): Page<Entities, Element> {
  return { entities, count, per_page: size, pages: { current, max: Math.max(1, Math.ceil(count / size)) }, elements };
}

export interface InventoryElement {
  id: Id;
  name: string;
  handler: Handler;
}

/** An entry's configuration: everything but its content. */
export interface EntryConfiguration extends InventoryElement {
  whitelist: string[];
  properties: Record<string, string>;
  environment: Environment;
  enabled: boolean;
  /** RFC 3339, or null. */
  expiresAt: string | null;
  /** The number of the version that a reveal answers. */
  version: number;
  /** Counts the entry's changes from 1: the value for `If-Match`. */
  revision: number;
  createdAt: string;
  updatedAt: string;
}

/** What a reveal answers. `encoding` stands only beside base64 content. */
export interface RevealedContent {
  content: string;
  encoding?: 'base64';
}

/** The one shape of every error body. */
export interface ErrorBody {
  error: string;
}

import { z } from 'zod';
import { Environment, Id } from './identifiers.ts';

/** The topic that carries every audit event. Its key is the organization's id. */
export const AUDIT_TOPIC = 'kms.audit.v1';
/** The media type of a message on it: one CloudEvents 1.0 event in structured mode. */
export const AUDIT_CONTENT_TYPE = 'application/cloudevents+json';
/** The topic that carries every published checkpoint of the organizations' logs. Its key is the organization's id, its value the signed note. */
export const CHECKPOINT_TOPIC = 'kms.audit.checkpoints.v1';
/** The media type of a message on it: a C2SP signed note. */
export const CHECKPOINT_CONTENT_TYPE = 'text/plain; charset=utf-8';
/** Longest User-Agent that a record holds, in bytes; what is longer is cut. */
export const MAX_USER_AGENT_BYTES = 512;
/** Longest event, in bytes: a record of the ledger must fit into an entry bundle (C2SP tlog-tiles), which has two bytes for its length. */
export const MAX_EVENT_BYTES = 65_535;

/** Digits of a sequence number on the wire: enough for 2^53, and sorted as text it is sorted as a number. */
const SEQUENCE_DIGITS = 16;
/** What a place in a chain adds to an event, in bytes. */
const PLACE_BYTES = 24 + SEQUENCE_DIGITS + 64 + '","sequence":"'.length + '","previoushash":"'.length + '"}'.length;

export const EVENT_TYPES = [
  'kms.secret.revealed.v1',
  'kms.secret.reveal-denied.v1',
  'kms.entry.created.v1',
  'kms.entry.updated.v1',
  'kms.entry.version-added.v1',
  'kms.entry.deleted.v1',
  'kms.entry.read.v1',
  'kms.inventory.read.v1',
  'kms.audit.read.v1',
  'kms.request.refused.v1',
  'kms.api-key.created.v1',
  'kms.message.parked.v1',
] as const;
export const EventType = z.enum(EVENT_TYPES);
export type EventType = z.infer<typeof EventType>;

export const Outcome = z.enum(['success', 'denied', 'error']);
export type Outcome = z.infer<typeof Outcome>;

export const Action = z.enum([
  'authenticate',
  'ping',
  'connection',
  'reveal',
  'read',
  'list',
  'create',
  'update',
  'add-version',
  'delete',
  'read-audit',
  'create-api-key',
  'park',
]);
export type Action = z.infer<typeof Action>;

const count = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
const timestamp = z.iso.datetime({ offset: true });
const text = z.string();

/** What a change event says of the entry, so that its state can be rebuilt from events alone. Never a content, nor anything derived from one. */
export const EntryChange = z.strictObject({
  name: text.optional(),
  whitelist: z.array(text).optional(),
  properties: z.record(text, text).optional(),
  enabled: z.boolean().optional(),
  expiresAt: timestamp.nullable().optional(),
  encoding: z.enum(['utf8', 'base64']).optional(),
});
export type EntryChange = z.infer<typeof EntryChange>;

/** A message that the ledger could not take as an event, and where it keeps the raw bytes. */
export const ParkedMessage = z.strictObject({
  topic: text,
  partition: z.number().int().min(0),
  offset: z.string().regex(/^[0-9]+$/),
  /** SHA-256 of the raw value, lower-case hexadecimal. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type ParkedMessage = z.infer<typeof ParkedMessage>;

/** Who did what to which entry, from where, and how it ended. Unknown members are null, never left out. */
export const AuditData = z.strictObject({
  organizationId: Id,
  environment: Environment.nullable(),
  apiKeyId: Id.nullable(),
  apiKeyName: text.nullable(),
  /** The client's address in canonical text, as the whitelist sees it. */
  address: text.nullable(),
  /** The User-Agent's bytes, one character (U+0000 to U+00FF) a byte, at most 512. */
  userAgent: text.max(MAX_USER_AGENT_BYTES).nullable(),
  requestId: text.nullable(),
  entryId: Id.nullable(),
  handler: text.nullable(),
  version: count.nullable(),
  /** The entry's revision: the one that a reveal was decided on, or the one that a change made. */
  revision: count.nullable(),
  action: Action,
  outcome: Outcome,
  /** Why, in a stable kebab-case word, where the outcome is not success. */
  reason: text.nullable(),
  change: EntryChange.optional(),
  parked: ParkedMessage.optional(),
});
export type AuditData = z.infer<typeof AuditData>;

/** What is known of an action, with null for all the rest. */
export function auditData(known: Pick<AuditData, 'organizationId' | 'action' | 'outcome'> & Partial<AuditData>): AuditData {
  return { ...NOTHING_KNOWN, ...known };
}

const NOTHING_KNOWN = {
  organizationId: '',
  environment: null,
  apiKeyId: null,
  apiKeyName: null,
  address: null,
  userAgent: null,
  requestId: null,
  entryId: null,
  handler: null,
  version: null,
  revision: null,
  reason: null,
};

/** A CloudEvents 1.0 event with its place in a writer's chain (design: "The event on the topic"). */
export const AuditEvent = z.strictObject({
  specversion: z.literal('1.0'),
  id: Id,
  source: z.enum(['/gateway', '/vault', '/audit']),
  type: EventType,
  subject: text.min(1).optional(),
  time: timestamp,
  datacontenttype: z.literal('application/json'),
  data: AuditData,
  /** The id of the writer that numbered the event. */
  writer: Id,
  /** Decimal, zero-padded to 16 digits, from 1 without gaps in each writer (CloudEvents `sequence` extension). */
  sequence: z.string().regex(new RegExp(`^[0-9]{${SEQUENCE_DIGITS}}$`)),
  /** The writer's chain hash before this event, lower-case hexadecimal; 64 zeros before the first. */
  previoushash: z.string().regex(/^[0-9a-f]{64}$/),
});
export type AuditEvent = z.infer<typeof AuditEvent>;

/** What an event says before it has a place in a chain. */
export interface UnplacedEvent {
  id: Id;
  source: AuditEvent['source'];
  type: EventType;
  /** RFC 3339. */
  time: string;
  data: AuditData;
}

/** A place in a writer's chain. */
export interface Position {
  writer: Id;
  sequence: number;
  /** Lower-case hexadecimal SHA-256. */
  previousHash: string;
}

/** The number as it stands on the wire. */
const formatSequence = (sequence: number): string => sequence.toString().padStart(SEQUENCE_DIGITS, '0');

/**
 * Prepares an event for its place: the JSON text is made once, now; the place is spliced in when it is known. What the returned
 * function answers is the event's exact bytes as UTF-8 text: it is stored, hashed and sent as it stands, never serialized again.
 * Throws {@link EventFormatError} for an event of more than {@link MAX_EVENT_BYTES}: what is checked where requests come in does not make one.
 */
export function prepareEvent({ id, source, type, time, data }: UnplacedEvent): (position: Position) => string {
  const subject = data.handler === null || data.handler === '' ? '' : `"subject":${JSON.stringify(data.handler)},`;
  const head =
    `{"specversion":"1.0","id":"${id}","source":"${source}","type":"${type}",${subject}"time":"${time}",` +
    `"datacontenttype":"application/json","data":${JSON.stringify(data)},"writer":"`;
  if (exceeds(head, MAX_EVENT_BYTES - PLACE_BYTES)) throw new EventFormatError(`The event takes more than ${MAX_EVENT_BYTES} bytes.`);
  return ({ writer, sequence, previousHash }) =>
    `${head}${writer}","sequence":"${formatSequence(sequence)}","previoushash":"${previousHash}"}`;
}

/** Whether a text takes more bytes as UTF-8; one takes at most three a UTF-16 unit, so a short one is not counted. */
const exceeds = (text: string, bytes: number) => text.length * 3 > bytes && Buffer.byteLength(text) > bytes;

/** What is no event: by its bytes, or too long to be one. */
export class EventFormatError extends Error {
  override readonly name = 'EventFormatError';
}

const ORGANIZATION_MEMBER = '"organizationId":"';

/**
 * The organization that an event belongs to, which is its key on the topic, read without parsing the whole: a member name in quotes
 * followed by a colon cannot stand inside a JSON string, whose own quotes are escaped. `bytes` must come from {@link prepareEvent}.
 */
export function organizationOf(bytes: Buffer): Id {
  const start = bytes.indexOf(ORGANIZATION_MEMBER) + ORGANIZATION_MEMBER.length;
  return bytes.toString('latin1', start, start + 24);
}

const PREVIOUS_HASH_AT_END = /^,"previoushash":"([0-9a-f]{64})"}$/;
const PREVIOUS_HASH_AT_END_BYTES = ',"previoushash":"'.length + 64 + '"}'.length;

/**
 * The chain's hash before an event, as the event states it. `bytes` must be what {@link parseEvent} takes. Where it stands last, as
 * {@link prepareEvent} writes it, the rest is not parsed: in valid JSON these bytes at the very end can be nothing but the last member of
 * the whole, and of members with one name the last one counts.
 */
export function previousHashOf(bytes: Buffer): string {
  const end = bytes.toString('latin1', bytes.length - PREVIOUS_HASH_AT_END_BYTES);
  return PREVIOUS_HASH_AT_END.exec(end)?.[1] ?? (JSON.parse(bytes.toString('utf8')) as AuditEvent).previoushash;
}

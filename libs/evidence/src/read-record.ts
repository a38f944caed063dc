import { EventFormatError, isUsualEvent, parseEvent } from '@kms/contracts';

/** What the checks of a log need of a record. */
export interface RecordFacts {
  readonly id: string;
  readonly organizationId: string;
  readonly writer: string;
  readonly sequence: number;
  /** 32 bytes. */
  readonly previousHash: Uint8Array;
}

const HEAD = '{"specversion":"1.0","id":"';
const ORGANIZATION = '"organizationId":"';
const SEQUENCE = '","sequence":"';
const PREVIOUS = '","previoushash":"';

const ID_DIGITS = 24;
/** From a usual record's end: where its previous hash, its sequence and its writer begin. */
const TO_PREVIOUS = 64 + '"}'.length;
const TO_SEQUENCE = TO_PREVIOUS + PREVIOUS.length + 16;
const TO_WRITER = TO_SEQUENCE + SEQUENCE.length + ID_DIGITS;

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** Reads a record by the events' schema. Throws an {@link EventFormatError} with one sentence that quotes nothing of it. */
export function readRecord(bytes: Uint8Array): RecordFacts {
  return requireSequence(readUsual(bytes) ?? readAny(bytes));
}

/**
 * The facts of a record that is spelt as most are; null for any other, be it an event or not. What is spelt so is ASCII, and has its facts at
 * fixed distances from its ends: but for the organization, whose member's name in quotes can stand nowhere else.
 */
export function readUsual(bytes: Uint8Array): RecordFacts | null {
  const text = utf8.decode(bytes);
  if (!isUsualEvent(text)) return null;
  const end = text.length;
  const organization = text.indexOf(ORGANIZATION, HEAD.length) + ORGANIZATION.length;
  return {
    id: text.slice(HEAD.length, HEAD.length + ID_DIGITS),
    organizationId: text.slice(organization, organization + ID_DIGITS),
    writer: text.slice(end - TO_WRITER, end - TO_WRITER + ID_DIGITS),
    sequence: Number(text.slice(end - TO_SEQUENCE, end - TO_SEQUENCE + 16)),
    previousHash: readHex(bytes, end - TO_PREVIOUS, 32),
  };
}

/** So many bytes, written from that place on as lower-case hexadecimal digits. */
function readHex(ascii: Uint8Array, start: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 1) bytes[at] = (digit(ascii, start + 2 * at) << 4) | digit(ascii, start + 2 * at + 1);
  return bytes;
}

function digit(ascii: Uint8Array, at: number): number {
  const code = ascii[at] as number;
  return code < 0x3a ? code - 0x30 : code - 0x57;
}

function readAny(bytes: Uint8Array): RecordFacts {
  const { id, data, writer, sequence, previoushash } = parseEvent(bytes);
  const previousHash = readHex(new TextEncoder().encode(previoushash), 0, 32);
  return { id, organizationId: data.organizationId, writer, sequence: Number(sequence), previousHash };
}

function requireSequence(facts: RecordFacts): RecordFacts {
  const { sequence } = facts;
  if (sequence < 1 || !Number.isSafeInteger(sequence)) throw new EventFormatError("The event's member sequence is not from 1 to 2^53 - 1.");
  return facts;
}

/** The id that bytes say which may be no event; null where none can be read. */
export function readId(bytes: Uint8Array): string | null {
  return /"id":"([0-9a-f]{24})"/.exec(utf8.decode(bytes))?.[1] ?? null;
}

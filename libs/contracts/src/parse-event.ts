import { Action, AuditEvent, EVENT_TYPES, EventFormatError, MAX_USER_AGENT_BYTES, Outcome } from './event.ts';
import { Environment } from './identifiers.ts';

const ID = '[0-9a-f]{24}';
const COUNT = '[1-9][0-9]{0,14}';
/** A JSON string of printable ASCII without escapes: its text is its bytes. */
const PLAIN = '"[ !#-[\\]-~]*"';
const TIME =
  '[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)' +
  'T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]+)?Z';
const oneOf = (texts: readonly string[]) => `(?:${texts.map((text) => text.replaceAll('.', '\\.')).join('|')})`;
const orNull = (value: string) => `(?:null|${value})`;
const ACTION = `"action":"${oneOf(Action.options)}"`;
const OUTCOME = `"outcome":"${oneOf(Outcome.options)}"`;
const REASON = `"reason":${orNull(PLAIN)}`;

/**
 * The events that the services write most, in the one spelling that they write them in, as a text that is ASCII then. Whatever this takes, the
 * schema takes too (a test holds the two together); the other way round it need not be, and is not: the rest is left to the schema, which takes
 * several times as long.
 */
const USUAL = new RegExp(
  `^\\{"specversion":"1\\.0","id":"${ID}","source":"/(?:gateway|vault|audit)","type":"${oneOf(EVENT_TYPES)}",` +
    `(?:"subject":"[ !#-[\\]-~]+",)?"time":"${TIME}","datacontenttype":"application/json","data":\\{` +
    `"organizationId":"${ID}","environment":${orNull(`"${oneOf(Environment.options)}"`)},"apiKeyId":${orNull(`"${ID}"`)},` +
    `"apiKeyName":${orNull(PLAIN)},"address":${orNull(PLAIN)},"userAgent":${orNull(`"[ !#-[\\]-~]{0,${MAX_USER_AGENT_BYTES}}"`)},` +
    `"requestId":${orNull(PLAIN)},"entryId":${orNull(`"${ID}"`)},"handler":${orNull(PLAIN)},"version":${orNull(COUNT)},` +
    `"revision":${orNull(COUNT)},(?:${ACTION},${OUTCOME},${REASON}|${REASON},(?:${ACTION},${OUTCOME}|${OUTCOME},${ACTION}))\\},` +
    `"writer":"${ID}","sequence":"[0-9]{16}","previoushash":"[0-9a-f]{64}"\\}$`,
);

/** Whether a text is an event in the spelling that the services write most of them in. False for any other event, and for what is none. */
export const isUsualEvent = (text: string): boolean => USUAL.test(text);

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Reads an event's bytes strictly: valid UTF-8, JSON, the schema and nothing else. Throws {@link EventFormatError} with one
 * sentence that names what is wrong, and never quotes a value.
 */
export function parseEvent(bytes: Uint8Array): AuditEvent {
  const [text, value] = readJson(bytes);
  if (isUsualEvent(text)) return value as AuditEvent;
  const result = AuditEvent.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new EventFormatError(`The event's member ${issue?.path.join('.') || '(root)'} is not valid: ${issue?.code ?? 'unknown'}.`);
}

/** A text and what it says. */
function readJson(bytes: Uint8Array): [text: string, value: unknown] {
  try {
    const text = strictUtf8.decode(bytes);
    return [text, JSON.parse(text)];
  } catch (cause) {
    throw new EventFormatError('The message is not JSON in UTF-8.', { cause });
  }
}

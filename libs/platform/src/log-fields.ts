/**
 * The fields that may stand in a log line: names, numbers and codes that the code itself makes or that an operator configured. Whatever has
 * another name is left out, so that an object that is logged by mistake tells nothing. A test holds this list against what the code logs.
 */
export const LOG_FIELDS: ReadonlySet<string> = new Set([
  // What pino puts into each line.
  'name',
  'pid',
  'hostname',
  // Errors, which are reduced.
  'err',
  'code',
  'failures',
  'reason',
  // Requests and calls.
  'requestId',
  'organizationId',
  'pattern',
  'limit',
  // Where something is.
  'host',
  'port',
  'metricsPort',
  // Events, by their numbers.
  'writer',
  'sequence',
  'from',
  'to',
  'since',
  // Checkpoints and the public keys that they are checked with: what a witness saw must be in its log whole.
  'logKeys',
  'witnesses',
  'quorum',
  'verifierKey',
  'origin',
  'cosigned',
  'size',
  'cosignedNote',
  'note',
  // Kafka.
  'kafkajs',
  'broker',
  'groupId',
  'memberId',
  'retryCount',
  'topic',
  'partition',
  'partitions',
  'offset',
  'kept',
  'low',
  'high',
  'expected',
  'found',
]);

/** Longest text of a field, in characters. */
const MAX_TEXT = 16_384;

/**
 * What of an object may be logged: its members with a name on the list, where they are plain values or lists of them, and errors. `dropped`
 * says how many members were left out, without their names.
 */
export function allowedFields(fields: Record<string, unknown>): Record<string, unknown> {
  const allowed: Record<string, unknown> = {};
  let dropped = 0;
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    // An error is reduced afterwards, by its serializer.
    if (name === 'err') allowed[name] = value;
    else if (LOG_FIELDS.has(name) && isPlain(value)) allowed[name] = cut(value);
    else dropped += 1;
  }
  return dropped === 0 ? allowed : { ...allowed, dropped };
}

const isPlain = (value: unknown): boolean => isScalar(value) || (Array.isArray(value) && value.every(isScalar));
const isScalar = (value: unknown) => value === null || ['string', 'number', 'boolean'].includes(typeof value);
const cut = (value: unknown) => (typeof value === 'string' ? value.slice(0, MAX_TEXT) : value);

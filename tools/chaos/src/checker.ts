/** What a client knows of one of its requests. */
export interface ClientLine {
  requestId: string;
  action: 'reveal' | 'change';
  /**
   * `done`: the content was revealed, or the change acknowledged. `denied`: refused for good, which is recorded too. `unavailable`: a 503.
   * `unknown`: no whole answer came. `wrong`: a status that no request of this client should get.
   */
  outcome: 'done' | 'denied' | 'unavailable' | 'unknown' | 'wrong';
  /** What the answer said of its record: `<id>; writer=…; sequence=…; hash=…`. */
  receipt: string | null;
}

/** An event, wherever it was found. */
export interface Found {
  writer: string;
  sequence: number;
  /** SHA-256 of its bytes, in hexadecimal. */
  hash: string;
}

export interface LedgerRecord extends Found {
  id: string;
  /** Null for what no client asked for: the first API key. */
  requestId: string | null;
  action: string;
  outcome: string;
  /** The writer's chain up to this event, in hexadecimal. */
  chain: string;
}

export interface Evidence {
  client: readonly ClientLine[];
  /** Both journals' events, and what is wrong with the chains themselves. */
  journal: readonly Found[];
  brokenChains: readonly string[];
  topic: readonly Found[];
  ledger: readonly LedgerRecord[];
  /** What is wrong with the trees: heads and checkpoints that are not those of the records. */
  brokenTrees: readonly string[];
  /** What an auditor's verification of each log found: a sentence for each that is refused. */
  refusedLogs: readonly string[];
}

export interface Verdict {
  violations: string[];
  /** `events` were committed; `undelivered` are records of requests that got no answer or a 503: `unknown` and `unavailable` ones. */
  counts: Record<ClientLine['outcome'] | 'events' | 'undelivered' | 'undeliveredUnknown', number>;
}

const place = ({ writer, sequence }: Found) => `${writer}/${sequence}`;

/**
 * Compares what a client was told with what journals, topic and ledger hold. Nothing may be revealed or acknowledged without exactly one
 * record; every committed event is in the ledger, once and unchanged; every record is of a request that was made.
 *
 * A request whose outcome is unknown, or that was refused with 503, has no record, or one of something whose answer was never delivered.
 * Which of the two cannot be told beforehand; how many can: the records of clients' requests, less those that were delivered, are as many
 * as there are such requests with a record. Both sides are counted on their own.
 */
export function check({ client, journal, brokenChains, topic, ledger, brokenTrees, refusedLogs }: Evidence): Verdict {
  const violations = [...brokenChains, ...brokenTrees, ...refusedLogs];
  const counts = {
    done: 0,
    denied: 0,
    unavailable: 0,
    unknown: 0,
    wrong: 0,
    events: journal.length,
    undelivered: 0,
    undeliveredUnknown: 0,
  };
  const records = groupBy(ledger, ({ requestId }) => requestId);

  for (const line of client) {
    counts[line.outcome] += 1;
    if (line.outcome === 'wrong')
      violations.push(`Request ${line.requestId} (${line.action}) was answered with a status that it should not get.`);
    const own = records.get(line.requestId) ?? [];
    const wanted = { done: 'success', denied: 'denied' }[line.outcome as string];
    const matching = own.filter(({ outcome }) => outcome === wanted);
    if (own.some(({ action }) => (action === 'reveal') !== (line.action === 'reveal')))
      violations.push(`Request ${line.requestId} (${line.action}) has the record of something else.`);
    if (wanted === undefined) {
      if (own.length > 0) counts.undelivered += 1;
      if (own.length > 0 && line.outcome === 'unknown') counts.undeliveredUnknown += 1;
      if (own.length > 1) violations.push(`Request ${line.requestId} has ${own.length} records.`);
    } else if (own.length !== 1 || matching.length !== 1) {
      violations.push(
        `Request ${line.requestId} (${line.action} ${line.outcome}) has ${own.length} records, ${matching.length} of them ${wanted}.`,
      );
    } else if (line.receipt !== null && line.receipt !== receiptOf(matching[0] as LedgerRecord)) {
      violations.push(`Request ${line.requestId} has a receipt that is not of its record: ${line.receipt}.`);
    }
  }

  const known = new Set(client.map(({ requestId }) => requestId));
  for (const { requestId, id } of ledger)
    if (requestId !== null && !known.has(requestId)) violations.push(`Record ${id} is of no request that was made.`);
  if (known.size !== client.length) violations.push(`${client.length - known.size} request ids were used more than once.`);

  const asked = ledger.filter(({ requestId }) => requestId !== null).length;
  const withoutDelivery = asked - counts.done - counts.denied;
  if (withoutDelivery !== counts.undelivered)
    violations.push(`${withoutDelivery} records have no delivery, and ${counts.undelivered} requests without one have a record.`);

  const held = new Map<string, string>();
  for (const record of ledger) {
    if (held.has(place(record))) violations.push(`Event ${place(record)} is in the ledger twice.`);
    held.set(place(record), record.hash);
  }
  const committed = new Map(journal.map((event) => [place(event), event.hash]));
  for (const [where, hash] of committed) {
    if (!held.has(where)) violations.push(`Event ${where} was committed and is not in the ledger.`);
    else if (held.get(where) !== hash) violations.push(`Event ${where} is not in the ledger as it was committed.`);
  }
  for (const where of held.keys()) if (!committed.has(where)) violations.push(`Event ${where} is in the ledger and was never committed.`);
  for (const event of topic)
    if (committed.get(place(event)) !== event.hash) violations.push(`Message ${place(event)} is not what was committed.`);
  return { violations, counts };
}

const receiptOf = ({ id, writer, sequence, chain }: LedgerRecord) => `${id}; writer=${writer}; sequence=${sequence}; hash=${chain}`;

function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}

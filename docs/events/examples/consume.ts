// Reads the audit topic up to its end with kafkajs and checks it.
import { createHash, randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';

const TOPIC = 'kms.audit.v1';

interface Link {
  before: string;
  after: string;
}

/** Keeps the hashes of every event, some 300 bytes each: for a topic without end, take `kms-audit follow`. */
class Checker {
  readonly #writers = new Map<string, Map<number, Link>>();
  #events = 0;
  #doubles = 0;
  #findings = 0;

  take(place: string, key: string, value: Buffer): void {
    const event = parse(value);
    if (event === null) return this.#say(`schema: ${place} is no audit event`);
    if (key !== event.data.organizationId) return this.#say(`key: ${place} is not under its organization's key`);
    const { writer, previoushash: before } = event;
    // The bytes as they came: what is parsed and written again has another hash.
    const after = createHash('sha256').update(before, 'hex').update(value).digest('hex');
    const known = this.#writers.get(writer) ?? new Map<number, Link>();
    this.#writers.set(writer, known);
    const sequence = Number(event.sequence);
    const first = known.get(sequence);
    if (first === undefined) {
      known.set(sequence, { before, after });
      this.#events += 1;
    } else if (first.after === after) {
      this.#doubles += 1;
    } else {
      this.#say(`conflict: ${place} has other bytes than ${writer}/${sequence} had before`);
    }
  }

  /** Says what is missing and what does not fit, and answers the exit code. */
  finish(): number {
    for (const [writer, known] of this.#writers) {
      let [expected, hash] = [1, '0'.repeat(64)];
      for (const [sequence, { before, after }] of [...known].sort(([a], [b]) => a - b)) {
        if (sequence !== expected) this.#say(`gap: ${writer}/${expected} to ${sequence - 1} did not come`);
        else if (before !== hash) this.#say(`chain: ${writer}/${sequence} does not continue the chain`);
        [expected, hash] = [sequence + 1, after];
      }
    }
    console.log(`${this.#events} events, ${this.#doubles} doubles, ${this.#findings} findings`);
    return this.#findings === 0 ? 0 : 1;
  }

  #say(what: string): void {
    this.#findings += 1;
    console.log(what);
  }
}

interface AuditEvent {
  specversion: '1.0';
  id: string;
  type: string;
  datacontenttype: 'application/json';
  writer: string;
  sequence: string;
  previoushash: string;
  data: { organizationId: string };
}

/** The least that an event must be; audit-event.schema.json is all of it. */
function parse(value: Buffer): AuditEvent | null {
  try {
    const event = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value)) as AuditEvent;
    const { specversion, type, datacontenttype, id, writer, sequence, previoushash, data } = event;
    const isEvent = specversion === '1.0' && type.startsWith('kms.') && datacontenttype === 'application/json' && typeof data === 'object';
    const isPlaced = /^[0-9]{16}$/.test(sequence) && /^[0-9a-f]{64}$/.test(previoushash);
    return isEvent && isPlaced && [id, writer].every((text) => /^[0-9a-f]{24}$/.test(text)) ? event : null;
  } catch {
    return null; // It is not JSON in UTF-8, or not an object with these members.
  }
}

const kafka = new Kafka({
  brokers: (process.argv[2] ?? '127.0.0.1:9092').split(','),
  clientId: 'my-compliance',
  logLevel: logLevel.NOTHING,
});
const admin = kafka.admin();
await admin.connect();
const ends = new Map(
  (await admin.fetchTopicOffsets(TOPIC)).map(({ partition, low, high }) => [partition, low === high ? 0n : BigInt(high)]),
);
await admin.disconnect();

const checker = new Checker();
// kafkajs reads as a group only. This one has a name of its own each time and commits nothing.
const consumer = kafka.consumer({ groupId: `my-compliance-${randomUUID()}`, allowAutoTopicCreation: false });
await consumer.connect();
await consumer.subscribe({ topics: [TOPIC], fromBeginning: true });
await new Promise<void>((resolve, reject) => {
  const open = new Set([...ends].filter(([, end]) => end > 0n).map(([partition]) => partition));
  if (open.size === 0) return resolve();
  consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
  void consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message: { offset, key, value } }) => {
      if (!open.has(partition)) return;
      checker.take(`${partition}/${offset}`, String(key), value ?? Buffer.alloc(0));
      if (BigInt(offset) + 1n >= (ends.get(partition) ?? 0n)) open.delete(partition);
      if (open.size === 0) resolve();
    },
  });
});
await consumer.disconnect();
process.exitCode = checker.finish();

/** The oldest version of Produce that brokers of Kafka 4 still take, and the newest that needs none of what came later. */
const PRODUCE = { apiKey: 0, apiVersion: 3, apiName: 'Produce' };
const ALL_IN_SYNC_REPLICAS = -1;
const UNKNOWN_SERVER_ERROR = -1;

/** A batch that a broker did not take; `code` is Kafka's error code. */
export class ProduceError extends Error {
  override readonly name = 'ProduceError';

  constructor(
    readonly partition: number,
    readonly code: number,
  ) {
    super(`The broker did not take a batch for partition ${partition}: its error code is ${code}.`);
  }
}

/**
 * One Produce request (version 3) as kafkajs's connections take it: each partition's record batch, to be acknowledged by all in-sync
 * replicas within `timeoutMs`. Its answer is undefined, or a {@link ProduceError} is thrown for the first partition that was not taken.
 */
export function produceCall(topic: string, batches: ReadonlyMap<number, Buffer>, timeoutMs: number) {
  const buffer = encodeRequest(topic, batches, timeoutMs);
  return {
    // An encoder of kafkajs's, as far as a request's payload is one.
    request: { ...PRODUCE, expectResponse: () => true, encode: () => Promise.resolve({ buf: buffer, buffer }) },
    response: {
      decode: (bytes: Buffer) => Promise.resolve({ errors: readErrors(bytes, [...batches.keys()]), clientSideThrottleTime: 0 }),
      parse: ({ errors: [error] }: { errors: readonly ProduceError[] }) =>
        error === undefined ? Promise.resolve() : Promise.reject(error),
    },
  };
}

function encodeRequest(topic: string, batches: ReadonlyMap<number, Buffer>, timeoutMs: number): Buffer {
  const name = Buffer.from(topic);
  const head = Buffer.alloc(2 + 2 + 4 + 4 + 2 + name.length + 4);
  let offset = head.writeInt16BE(-1, 0); // no transaction
  offset = head.writeInt16BE(ALL_IN_SYNC_REPLICAS, offset);
  offset = head.writeInt32BE(timeoutMs, offset);
  offset = head.writeInt32BE(1, offset); // topics
  offset = head.writeInt16BE(name.length, offset);
  offset += name.copy(head, offset);
  head.writeInt32BE(batches.size, offset);
  return Buffer.concat([head, ...[...batches].flatMap(([partition, batch]) => [partitionHead(partition, batch.length), batch])]);
}

function partitionHead(partition: number, size: number): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt32BE(partition, 0);
  head.writeInt32BE(size, 4);
  return head;
}

/**
 * The partitions that were not taken, by the response's one topic: its name, and of each partition number, error code, offset and time. One
 * that it does not name was not taken either.
 */
function readErrors(bytes: Buffer, partitions: readonly number[]): ProduceError[] {
  const codes = new Map<number, number>();
  let offset = 4 + 2 + bytes.readInt16BE(4);
  const count = bytes.readInt32BE(offset);
  offset += 4;
  for (let index = 0; index < count; index += 1, offset += 22) codes.set(bytes.readInt32BE(offset), bytes.readInt16BE(offset + 4));
  return partitions
    .filter((partition) => codes.get(partition) !== 0)
    .map((partition) => new ProduceError(partition, codes.get(partition) ?? UNKNOWN_SERVER_ERROR));
}

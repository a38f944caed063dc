/** A message as it lies in its partition. */
export interface ConsumedMessage {
  offset: bigint;
  key: Buffer | null;
  value: Buffer | null;
  /** The trace that its sender says it belongs to, as it came: anybody may have written it. */
  traceparent?: string;
}

/** A message with the time that its topic has it under: when the broker appended it, in milliseconds since 1970. */
export interface TimedMessage extends ConsumedMessage {
  timestamp: number;
}

/** Messages of one partition that follow one another; at least one, at most 500 or 4 MiB (a single larger message comes alone). */
export interface MessageBatch<Message extends ConsumedMessage = ConsumedMessage> {
  topic: string;
  partition: number;
  messages: readonly Message[];
  /** The offset to go on from when this batch is done. */
  nextOffset: bigint;
}

/** Who reads a topic and keeps the offsets. */
export interface BatchHandler<Message extends ConsumedMessage = ConsumedMessage> {
  /** Where to start in each of these partitions; one that is not in the answer starts at its first message. */
  startOffsets(topic: string, partitions: readonly number[]): Promise<ReadonlyMap<number, bigint>>;
  /**
   * Takes a batch and keeps its `nextOffset`, both or neither. One call at a time for a partition, in order; calls for several
   * partitions may overlap. An error means "not now": the same batch is handed over again, for as long as it takes.
   */
  handle(batch: MessageBatch<Message>): Promise<void>;
}

/** How much one call takes at most. */
export interface ChunkLimits {
  /** At least 1. */
  messages: number;
  /** Of keys and values; a single message that is larger is a chunk of its own. */
  bytes: number;
}

/** What counts towards a chunk's bytes. */
export interface Sized {
  key: Uint8Array | string | null;
  value: Uint8Array | null;
}

/** Cuts messages into runs that keep the limits. The order stays, every message is in exactly one run, and no run is empty. */
export function* chunks<Message extends Sized>(messages: readonly Message[], limits: ChunkLimits): Generator<Message[]> {
  let chunk: Message[] = [];
  let bytes = 0;
  for (const message of messages) {
    const size = (message.key?.length ?? 0) + (message.value?.length ?? 0);
    if (chunk.length > 0 && (chunk.length >= limits.messages || bytes + size > limits.bytes)) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(message);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}

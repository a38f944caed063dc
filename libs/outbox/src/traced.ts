import { Journal, type EventPublisher, type Fence, type PlaceEvent, type Placement, type Recorded } from '@kms/journal';
import { inSpan, type Tracer } from '@kms/platform';

/** Most events whose trace is remembered until they are sent; of those before, the trace ends in the journal. */
const MAX_TRACES = 10_000;

type Place = Pick<Placement, 'writer' | 'sequence'>;

/** Which trace an event belongs to, from its commit until it is sent. */
export class EventTraces {
  readonly #traceparents = new Map<string, string>();

  note({ writer, sequence }: Place, traceparent: string): void {
    if (this.#traceparents.size >= MAX_TRACES) this.#traceparents.delete(this.#traceparents.keys().next().value as string);
    this.#traceparents.set(`${writer}/${sequence}`, traceparent);
  }

  /** The trace of an event by its exact bytes; they name its place. */
  take(event: Buffer): string | undefined {
    if (this.#traceparents.size === 0) return undefined;
    const { writer, sequence } = JSON.parse(event.toString('utf8')) as { writer: string; sequence: string };
    const key = `${writer}/${Number(sequence)}`;
    const traceparent = this.#traceparents.get(key);
    this.#traceparents.delete(key);
    return traceparent;
  }
}

/** A journal whose appends and changes are spans. An event's place is told to `traces`, so that its message can carry its trace on. */
export class TracedJournal<Transaction> extends Journal<Transaction> {
  readonly #tracer: Tracer;
  readonly #traces: EventTraces;

  constructor(options: ConstructorParameters<typeof Journal<Transaction>>[0], tracer: Tracer, traces: EventTraces) {
    super(options);
    this.#tracer = tracer;
    this.#traces = traces;
  }

  override append(place: PlaceEvent, fence: Fence | null = null): Promise<Placement> {
    return inSpan(this.#tracer, 'journal append', {}, async (span) => {
      const placement = await super.append(place, fence);
      const { writer, sequence } = placement;
      span.set({ 'kms.writer': writer, 'kms.sequence': sequence });
      this.#traces.note(placement, span.traceparent);
      return placement;
    });
  }

  override transact<T>(work: (transaction: Transaction) => Promise<Recorded<T>>): Promise<T> {
    return inSpan(this.#tracer, 'journal change', {}, async (span) => {
      const places: Place[] = [];
      const value = await super.transact(async (transaction) => {
        const { events, value } = await work(transaction);
        return { value, events: events.map((place, index) => (position) => place((places[index] = position))) };
      });
      for (const place of places) this.#traces.note(place, span.traceparent);
      return value;
    });
  }
}

/** A way to the topic that gives each message the trace that its event belongs to. */
export function tracePublisher(publisher: EventPublisher, tracer: Tracer, traces: EventTraces): EventPublisher {
  return {
    async publish(messages) {
      const span = tracer.start('relay publish', null, { 'messaging.batch.message_count': messages.length });
      const traced = messages.map((message) => {
        const traceparent = traces.take(message.value);
        return traceparent === undefined ? message : { ...message, traceparent };
      });
      try {
        await publisher.publish(traced);
        span.end();
      } catch (error) {
        span.end(error);
        throw error;
      }
    },
  };
}

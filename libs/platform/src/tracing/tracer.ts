/** What a span may be called: no name holds anything that a client sent. */
export type SpanName =
  | 'http request'
  | 'rpc call'
  | 'rpc handler'
  | 'journal append'
  | 'journal change'
  | 'journal flush'
  | 'relay publish'
  | 'ledger batch'
  | 'ledger append'
  | 'postgresql query';

/** What a span may say: names, numbers and codes of the code's own. Never a handler, a key, a content or an address (design rule 6). */
export interface Attributes {
  'http.request.method'?: string;
  /** The route's template. */
  'http.route'?: string;
  'http.response.status_code'?: number;
  'rpc.method'?: string;
  'db.operation.name'?: string;
  'messaging.batch.message_count'?: number;
  'kms.writer'?: string;
  'kms.sequence'?: number;
  'kms.events'?: number;
}

/** A piece of work under way. */
export interface Span {
  /** Where it belongs, as the next process is told (W3C Trace Context). */
  readonly traceparent: string;
  set(attributes: Attributes): void;
  /** With an error: that it failed, and the error's type; never its message. */
  end(error?: unknown): void;
}

/**
 * Follows a request through the services. Callers look at `isOn` first and do nothing for it where it is not: then it costs one comparison.
 */
export interface Tracer {
  readonly isOn: boolean;
  /** The span that the present work belongs to. */
  readonly active: string | undefined;
  /** Begins a span under `parent`, a traceparent that may come from outside; of a trace of its own where that is null or not well formed. */
  start(name: SpanName, parent: unknown, attributes?: Attributes): Span;
  /** Does work, and all that follows from it, as a part of a span. */
  within<T>(span: Span, work: () => T): T;
  /** Sends what is left. */
  close(): Promise<void>;
}

const NO_SPAN: Span = { traceparent: '', set: () => undefined, end: () => undefined };

/** Traces nothing. */
export const NO_TRACER: Tracer = {
  isOn: false,
  active: undefined,
  start: () => NO_SPAN,
  within: (_span, work) => work(),
  close: () => Promise.resolve(),
};

/**
 * The tracer of a process: it sends spans by OTLP over HTTP to `OTEL_EXPORTER_OTLP_ENDPOINT` (with the other `OTEL_EXPORTER_OTLP_…` variables,
 * and `OTEL_TRACES_SAMPLER`, as OpenTelemetry defines them). Without that variable nothing of OpenTelemetry's SDK is even loaded.
 */
export async function openTracer(service: string, environment: NodeJS.ProcessEnv): Promise<Tracer> {
  if (!environment['OTEL_EXPORTER_OTLP_ENDPOINT']) return NO_TRACER;
  const { OtlpTracer } = await import('./otlp-tracer.ts');
  return new OtlpTracer(service);
}

/** Does work in a span of its own under the active one, and ends the span as the work ends. */
export async function inSpan<T>(tracer: Tracer, name: SpanName, attributes: Attributes, work: (span: Span) => Promise<T>): Promise<T> {
  const span = tracer.start(name, tracer.active, attributes);
  try {
    const value = await tracer.within(span, () => work(span));
    span.end();
    return value;
  } catch (error) {
    span.end(error);
    throw error;
  }
}

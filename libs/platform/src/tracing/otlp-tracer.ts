import { AsyncLocalStorage } from 'node:async_hooks';
import { isSpanContextValid, ROOT_CONTEXT, SpanStatusCode, trace, type Context, type Span as OtelSpan } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { Attributes, Span, SpanName, Tracer } from './tracer.ts';

/** Longest wait for the collector at the end of the process, in milliseconds. */
const CLOSE_TIMEOUT_MS = 1_000;
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** A tracer that exports to an OpenTelemetry collector. Nothing is registered globally, so no other library makes spans. */
export class OtlpTracer implements Tracer {
  readonly isOn = true;
  readonly #provider: BasicTracerProvider;
  readonly #active = new AsyncLocalStorage<string>();

  constructor(service: string) {
    this.#provider = new BasicTracerProvider({
      resource: resourceFromAttributes({ 'service.name': service, 'service.namespace': 'donutwork-kms' }),
      spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
    });
  }

  get active(): string | undefined {
    return this.#active.getStore();
  }

  start(name: SpanName, parent: unknown, attributes: Attributes = {}): Span {
    return new OtlpSpan(this.#provider.getTracer('donutwork-kms').startSpan(name, { attributes: { ...attributes } }, contextOf(parent)));
  }

  within<T>(span: Span, work: () => T): T {
    return this.#active.run(span.traceparent, work);
  }

  /** A collector that is away loses spans and keeps nobody waiting. */
  async close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_TIMEOUT_MS)));
    await Promise.race([this.#provider.shutdown().catch(() => undefined), late]);
    clearTimeout(timer);
  }
}

class OtlpSpan implements Span {
  readonly #span: OtelSpan;
  readonly traceparent: string;

  constructor(span: OtelSpan) {
    this.#span = span;
    const { traceId, spanId, traceFlags } = span.spanContext();
    this.traceparent = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
  }

  set(attributes: Attributes): void {
    this.#span.setAttributes({ ...attributes });
  }

  end(error?: unknown): void {
    if (error !== undefined) {
      this.#span.setStatus({ code: SpanStatusCode.ERROR });
      this.#span.setAttribute('error.type', error instanceof Error ? error.name : 'unknown');
    }
    this.#span.end();
  }
}

/** The context that a traceparent names, or the empty one. */
function contextOf(traceparent: unknown): Context {
  const [, traceId = '', spanId = '', flags = ''] = (typeof traceparent === 'string' && TRACEPARENT.exec(traceparent)) || [];
  const parent = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return isSpanContextValid(parent) ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
}

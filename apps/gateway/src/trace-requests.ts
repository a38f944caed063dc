import type { IncomingMessage, RequestListener, Server } from 'node:http';
import type { Span, Tracer } from '@kms/platform';
import type { FastifyInstance } from 'fastify';

/**
 * Makes each request a span, under the one that its `traceparent` header names (W3C Trace Context). It stands before whatever listens to the
 * server now, so that the reveal lane is in it too; it is not there at all while nothing is traced.
 */
export function traceRequests(server: FastifyInstance, http: Server, tracer: Tracer): void {
  if (!tracer.isOn) return;
  const spans = new WeakMap<IncomingMessage, Span>();
  const listeners = http.listeners('request') as RequestListener[];
  http.removeAllListeners('request').on('request', (request, response) => {
    const attributes = { 'http.request.method': String(request.method) };
    const span = tracer.start('http request', request.headers['traceparent'], attributes);
    spans.set(request, span);
    response.once('close', () => {
      span.set({ 'http.response.status_code': response.statusCode });
      span.end();
    });
    tracer.within(span, () => {
      for (const listener of listeners) listener.call(http, request, response);
    });
  });
  // A body comes as events of its connection, which is no part of the span.
  server.addHook('preHandler', ({ raw, routeOptions }, _reply, done) => {
    const span = spans.get(raw);
    if (span === undefined) return done();
    if (routeOptions.url !== undefined) span.set({ 'http.route': routeOptions.url });
    tracer.within(span, done);
  });
}

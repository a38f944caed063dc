import { SECONDS, type Distribution, type Metrics } from '@kms/platform';
import type { FastifyInstance } from 'fastify';

/** To be told of each answer: its status, and when its request's headers were read, on the clock of `performance.now()`. */
export type RouteTimer = (status: number, receivedAt: number) => void;

/** Times a route's answers, under the route's own template and never the path that was asked for. */
export function routeTimer(metrics: Metrics, method: string, route: string): RouteTimer {
  const seconds = new Map<number, Distribution>();
  const begin = (status: number) => {
    const labels = { method, route, status: String(status) };
    const distribution = metrics.distribution('kms_http_request_seconds', 'How long a request took', SECONDS, labels);
    seconds.set(status, distribution);
    return distribution;
  };
  return (status, receivedAt) => (seconds.get(status) ?? begin(status)).observe((performance.now() - receivedAt) / 1_000);
}

/** Times the answers of every route that is added to a server afterwards. */
export function timeRoutes(server: FastifyInstance, metrics: Metrics): void {
  server.addHook('onRoute', (route) => {
    const timed = routeTimer(metrics, String(route.method), route.url);
    route.onResponse = [
      ...[route.onResponse ?? []].flat(),
      ({ receivedAt }, { statusCode }, done) => {
        timed(statusCode, receivedAt);
        done();
      },
    ];
  });
}

import type { Span, Tracer } from '@kms/platform';
import type pg from 'pg';

type Query = (...given: unknown[]) => unknown;

/**
 * Makes each query of a pool's connections a span where the work that asks belongs to one: named by its prepared statement or its first word,
 * never its text or its values. It does nothing while nothing is traced.
 */
export function tracePool(pool: pg.Pool, tracer: Tracer): void {
  if (!tracer.isOn) return;
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as Query;
    const traced: Query = (...given) => {
      if (tracer.active === undefined) return query(...given);
      const span = tracer.start('postgresql query', tracer.active, { 'db.operation.name': operationOf(given[0]) });
      const callback = given.at(-1);
      if (typeof callback === 'function') return query(...given.slice(0, -1), endingWith(span, callback as Query));
      return (query(...given) as Promise<unknown>).then(
        (result) => (span.end(), result),
        (error: unknown) => {
          span.end(error);
          throw error;
        },
      );
    };
    client.query = traced as typeof client.query;
  });
}

const endingWith =
  (span: Span, callback: Query): Query =>
  (error, result) => {
    span.end(error ?? undefined);
    callback(error, result);
  };

function operationOf(query: unknown): string {
  const { name, text } = (typeof query === 'string' ? { text: query } : query) as { name?: string; text?: string };
  return name ?? /^\s*(\w+)/.exec(text ?? '')?.[1] ?? 'query';
}

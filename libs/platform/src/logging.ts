import { pino, type Logger } from 'pino';

export type { Logger };

/**
 * A structured logger on standard error. Callers log named fields and fixed sentences; errors are reduced to type, code, message and
 * stack, so that what a driver hangs on them (a statement's parameters, a connection's password) does not reach the log.
 */
export function createLogger(service: string): Logger {
  return pino(
    {
      name: service,
      level: process.env['LOG_LEVEL'] || 'info',
      serializers: { err: describeError, error: describeError },
    },
    pino.destination({ dest: 2, sync: false }),
  );
}

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: 'not an Error' };
  const { name, message, stack } = error;
  const code = (error as { code?: unknown }).code;
  return {
    type: name,
    message,
    ...(typeof code === 'string' ? { code } : {}),
    stack,
    ...(error.cause instanceof Error ? { cause: describeError(error.cause) } : {}),
  };
}

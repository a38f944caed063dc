import { pino, type DestinationStream, type Logger } from 'pino';
import { allowedFields } from './log-fields.ts';

export type { Logger };

/**
 * A structured logger on standard error. Callers log named fields and fixed sentences: what has no place on the list of fields is left out,
 * and nothing is put into a sentence. Errors are reduced to type, code, message and stack, so that what a driver hangs on them (a
 * statement's parameters, a connection's password) does not reach the log.
 */
export function createLogger(service: string, destination: DestinationStream = pino.destination({ dest: 2, sync: false })): Logger {
  const logger = pino(
    {
      name: service,
      level: process.env['LOG_LEVEL'] || 'info',
      serializers: { err: describeError },
      formatters: { log: allowedFields },
      hooks: {
        // Further arguments would be put into the sentence, or be written as they are.
        logMethod(parts, method) {
          const [first, second] = parts;
          if (typeof first !== 'string' && typeof second === 'string') method.apply(this, [first, second]);
          else method.apply(this, [first]);
        },
      },
    },
    destination,
  );
  // pino itself puts what a child is bound to past the formatters.
  const { child } = logger;
  logger.child = function (this: Logger, bindings: Record<string, unknown>) {
    return child.call(this, allowedFields(bindings));
  } as Logger['child'];
  return logger;
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

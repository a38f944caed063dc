import type { Logger } from '@kms/platform';
import { Catch, HttpException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { HttpError } from './domain/http-error.ts';

/** Sentences for what Fastify and Nest refuse by themselves. */
const SENTENCES: Record<number, string> = {
  400: 'The request body is not valid JSON',
  404: 'Not found',
  413: 'The request body is too large',
  415: 'The request body must be application/json',
};

/** What an error answers. What is not meant for the client goes to the log only. */
export function describeError(error: unknown, requestId: string, logger: Logger): { status: number; message: string } {
  if (error instanceof HttpError) {
    if (error.status >= 500) logger.warn({ err: error.cause, requestId }, error.message);
    return error;
  }
  const status = error instanceof HttpException ? error.getStatus() : ((error as { statusCode?: unknown } | null)?.statusCode ?? 500);
  const message = SENTENCES[Number(status)];
  if (message !== undefined) return { status: Number(status), message };
  logger.error({ err: error, requestId }, 'A request failed.');
  return { status: 500, message: 'Internal error' };
}

/** Turns every error into `{"error": "<one sentence>"}`. */
@Catch()
export class AnswerErrors implements ExceptionFilter {
  constructor(readonly logger: Logger) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const { status, message } = describeError(error, http.getRequest<FastifyRequest>().id, this.logger);
    // The route may have named another type for what it would have answered.
    void http.getResponse<FastifyReply>().status(status).type('application/json; charset=utf-8').send({ error: message });
  }
}

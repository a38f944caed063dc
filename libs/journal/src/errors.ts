/**
 * Why an append was not confirmed:
 * - `fenced`: what the event was decided on is no longer what is stored; decide again. Nothing was recorded.
 * - `overloaded`: the queue is full. Nothing was recorded.
 * - `unavailable`: the store refused or cannot be reached. Nothing was recorded.
 * - `in-doubt`: the connection was lost during the commit and its outcome could not be learned. The event may be recorded.
 * - `closed`: the journal was closed. Nothing was recorded.
 */
export type JournalErrorCode = 'fenced' | 'overloaded' | 'unavailable' | 'in-doubt' | 'closed';

export class JournalError extends Error {
  override readonly name = 'JournalError';

  constructor(
    readonly code: JournalErrorCode,
    options?: ErrorOptions,
  ) {
    super(`The event was not confirmed: ${code}.`, options);
  }
}

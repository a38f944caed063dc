/**
 * Why a call has no answer:
 * - `unavailable`: there is no connection, or it was lost before the answer came, so the call may or may not have been carried out;
 * - `timeout`: the peer did not answer in time; the call may or may not have been carried out;
 * - `overloaded`: too many calls are under way, here or at the peer; this one was not carried out;
 * - `failed`: the peer could not carry it out, does not know it, or a message was too large. Its reason is in the peer's log only.
 */
export type RpcErrorCode = 'unavailable' | 'timeout' | 'overloaded' | 'failed';

/** A call that has no answer. The message is a fixed sentence that names the peer and the call, never what was sent. */
export class RpcError extends Error {
  override readonly name = 'RpcError';

  /** `isNotCarriedOut`: it is certain that the peer did not carry out the call, so that it may be made again elsewhere. */
  constructor(
    readonly code: RpcErrorCode,
    message: string,
    readonly isNotCarriedOut: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Why a call failed.
 *
 * - `refused`: the service answered with an error; the message is the body's `error`.
 * - `unreachable`: no whole answer came. Trying again may help.
 * - `timeout`: none came in time. Trying again may help.
 * - `wrong-answer`: the answer is not what the contract says.
 * - `wrong-evidence`: what the service showed of its log does not hold: a signature, a proof, a record. Keep it: it is evidence against it.
 * - `invalid-argument`: the caller's mistake.
 */
export type KmsErrorCode = 'refused' | 'unreachable' | 'timeout' | 'wrong-answer' | 'wrong-evidence' | 'invalid-argument';

/** The only error of this library. Neither it nor its causes hold an API key or a content. */
export class KmsError extends Error {
  override readonly name = 'KmsError';
  readonly code: KmsErrorCode;
  /** The answer's HTTP status, where one came that was refused. */
  readonly status: number | null;

  constructor(code: KmsErrorCode, message: string, { status = null, ...options }: ErrorOptions & { status?: number | null } = {}) {
    super(message, options);
    this.code = code;
    this.status = status;
  }
}

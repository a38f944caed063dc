/**
 * Why a record, a key or an argument was refused. None of them goes away by trying again.
 *
 * - `invalid-argument`: the caller's mistake: a key that is not 32 bytes, an id that is not 24 hexadecimal digits, a version below 1.
 * - `format`: the bytes are not a record of the format that is asked for: an unknown format name, a wrong length.
 * - `wrong-key-id`: the record names another key than the one at hand.
 * - `wrong-key`: the record names the key at hand, but was sealed under another one (its key commitment says so).
 * - `authentication`: the key is right, but the record was changed, or belongs elsewhere: another organization, entry, version, or key.
 */
export type EnvelopeErrorCode = 'invalid-argument' | 'format' | 'wrong-key-id' | 'wrong-key' | 'authentication';

/** The only error of this library. Its message is one fixed sentence for the log: it quotes no key, no content, and nothing of a record. */
export class EnvelopeError extends Error {
  override readonly name = 'EnvelopeError';
  readonly code: EnvelopeErrorCode;

  constructor(code: EnvelopeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

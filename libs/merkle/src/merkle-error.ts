/**
 * Why bytes, a proof or an argument were refused. None of them goes away by trying again with the same input.
 *
 * - `invalid-argument`: the caller's mistake: a size that is no safe integer, an index outside of the tree, a hash that has not 32 bytes.
 * - `format`: the bytes or the text are not of the format that is asked for, or not in its one canonical spelling.
 * - `too-large`: of the format, but beyond what this library or the format can hold: a number above 2^53 - 1, an entry above 65,535 bytes.
 * - `unknown-key-type`: a key whose signature type none of the given ones has.
 * - `wrong-key-id`: a key whose id does not follow from its name and bytes: it was mistyped or altered.
 * - `wrong-origin`: a checkpoint of another log.
 * - `untrusted`: too few signatures by the keys that are trusted.
 * - `bad-signature`: a signature in the name of a trusted key that this key did not make.
 * - `wrong-size`: a tree that is smaller, or larger, than what it is compared with.
 * - `wrong-root`: the records or hashes have another root than the checkpoint.
 * - `wrong-proof`: the proof does not lead from what is to be proved to the checkpoint.
 * - `wrong-record`: a record does not have the leaf hash that stands in the tree at its index.
 */
export type MerkleErrorCode =
  | 'invalid-argument'
  | 'format'
  | 'too-large'
  | 'unknown-key-type'
  | 'wrong-key-id'
  | 'wrong-origin'
  | 'untrusted'
  | 'bad-signature'
  | 'wrong-size'
  | 'wrong-root'
  | 'wrong-proof'
  | 'wrong-record';

/** The only error of this library. Its message is one sentence for the log or the auditor, and quotes nothing of what was read. */
export class MerkleError extends Error {
  override readonly name = 'MerkleError';
  readonly code: MerkleErrorCode;

  constructor(code: MerkleErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * Why evidence was refused. None of them goes away by trying again with the same pack.
 *
 * - `missing-file`: a file that the pack must have is not there.
 * - `wrong-manifest`: the pack's manifest is none that this version reads, or says something else than the checkpoint.
 * - `wrong-key`: the pack's own keys, which were asked for, are no keys of a log.
 * - `wrong-checkpoint`: what should be a signed checkpoint is none.
 * - `wrong-origin`: the checkpoint is of another log.
 * - `bad-signature`: a signature in the name of a trusted key that this key did not make.
 * - `untrusted`: no trusted log key has signed the checkpoint, or too few witnesses have.
 * - `inconsistent`: the log does not begin with the records of a checkpoint that was given before: it was cut, changed, or forked.
 * - `wrong-root`: the hashes at the tree's right edge do not make the root that was signed.
 * - `wrong-tile`: a hash tile is not the one that is under the checkpoint.
 * - `wrong-record`: a record is not the one that stands in the tree at its index, or the bundle has too few or too many.
 * - `not-an-event`: a record of the log is no event by the schema that this version has.
 * - `wrong-organization`: a record of another organization than the one whose log it is.
 * - `duplicate-record`: a number of a writer that an earlier record has already.
 * - `broken-chain`: a record whose `previoushash` is not the hash of its writer's record before it.
 * - `incomplete`: the pack does not hold all records that were asked for.
 */
export type EvidenceErrorCode =
  | 'missing-file'
  | 'wrong-manifest'
  | 'wrong-key'
  | 'wrong-checkpoint'
  | 'wrong-origin'
  | 'bad-signature'
  | 'untrusted'
  | 'inconsistent'
  | 'wrong-root'
  | 'wrong-tile'
  | 'wrong-record'
  | 'not-an-event'
  | 'wrong-organization'
  | 'duplicate-record'
  | 'broken-chain'
  | 'incomplete';

/** Which record is bad. */
export interface BadRecord {
  /** Its place in the log, from 0. */
  readonly index: number;
  /** The id that its bytes say, where one can be read in them. */
  readonly id: string | null;
}

/** Evidence is refused. The message is one sentence, and names the first bad record where it is one that is bad. */
export class EvidenceError extends Error {
  override readonly name = 'EvidenceError';
  readonly code: EvidenceErrorCode;
  readonly record: BadRecord | null;

  constructor(code: EvidenceErrorCode, message: string, { record, ...options }: ErrorOptions & { record?: BadRecord } = {}) {
    super(record === undefined ? message : `Record ${record.index}${record.id === null ? '' : ` (${record.id})`} ${message}`, options);
    this.code = code;
    this.record = record ?? null;
  }
}

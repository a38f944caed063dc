/** The first thing that is not as it must be. The message is one sentence that names it, and quotes nothing of a record. */
export class BadEvidence extends Error {
  override readonly name = 'BadEvidence';
}

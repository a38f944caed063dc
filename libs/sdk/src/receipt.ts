import { KmsError } from './kms-error.ts';

/** What a reveal's answer says of its record. Whoever keeps it can ask for the record's proof later. */
export interface Receipt {
  readonly id: string;
  readonly writer: string;
  readonly sequence: number;
  /** SHA-256 of the record's `previoushash`, as 32 bytes, and its bytes; 64 lower-case hexadecimal digits. */
  readonly hash: string;
}

const RECEIPT = /^([0-9a-f]{24}); writer=([0-9a-f]{24}); sequence=([1-9][0-9]{0,15}); hash=([0-9a-f]{64})$/;

/** Reads the header `Audit-Record`, in its one spelling. Throws a `wrong-answer` {@link KmsError}. */
export function parseReceipt(header: string): Receipt {
  const [, id, writer, sequence, hash] = RECEIPT.exec(header) ?? [];
  if (id === undefined || writer === undefined || hash === undefined || !Number.isSafeInteger(Number(sequence)))
    throw new KmsError('wrong-answer', 'The header Audit-Record is no receipt.');
  return { id, writer, sequence: Number(sequence), hash };
}

/** Writes what {@link parseReceipt} reads. */
export function writeReceipt({ id, writer, sequence, hash }: Receipt): string {
  return `${id}; writer=${writer}; sequence=${sequence}; hash=${hash}`;
}

import {
  COSIGNATURE_V1,
  MerkleError,
  noteVerifier,
  openCheckpoint,
  parseCheckpoint,
  parseNote,
  parseVerifierKey,
  type CheckpointPolicy,
} from '@kms/merkle';

/**
 * What is wrong with the checkpoints that were published of a log, `notes`, in the order of their sizes. Each must have the cosignature of the
 * witness whose public key is given, and the witness must know the last one: `cosigned` is what it keeps, or null.
 */
export function judgePublished(
  notes: readonly Uint8Array[],
  cosigned: Uint8Array | null,
  { origin, logKeys }: CheckpointPolicy,
  witnessKey: string,
): string[] {
  const policy = { origin, logKeys, witnesses: [noteVerifier(parseVerifierKey(witnessKey), [COSIGNATURE_V1])], quorum: 1 };
  const refused = notes.flatMap((note) => {
    const fault = faultOf(note, policy);
    return fault === null ? [] : [`The checkpoint of ${origin} at ${sizeOf(note)} should not have been published: ${fault}`];
  });
  const last = notes.at(-1);
  const [published, known] = [last, cosigned].map((note) => (note == null ? 0 : sizeOf(note))) as [number, number];
  return published <= known
    ? refused
    : [...refused, `The witness knows ${known} records of ${origin}, of which ${published} are published.`];
}

/** What is wrong with the checkpoints on their topic: each must be one that the ledger's database has as published. */
export function judgeSent(messages: readonly string[], published: readonly string[]): string[] {
  const known = new Set(published);
  return messages
    .filter((note) => !known.has(note))
    .map((note) => `A checkpoint is on the topic and was never published: ${note.split('\n', 2).join(' ')}.`);
}

function faultOf(note: Uint8Array, policy: CheckpointPolicy): string | null {
  try {
    openCheckpoint(note, policy);
    return null;
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
    return error.message;
  }
}

const sizeOf = (note: Uint8Array) => parseCheckpoint(parseNote(note).text).size;

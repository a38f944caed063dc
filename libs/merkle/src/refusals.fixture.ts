import { MerkleError, type MerkleErrorCode } from './merkle-error.ts';

/** The code that an action is refused with, or `taken`. Any other error passes on. */
export function codeOf(action: () => unknown): MerkleErrorCode | 'taken' {
  try {
    action();
    return 'taken';
  } catch (error) {
    if (error instanceof MerkleError) return error.code;
    throw error;
  }
}

/** A copy with one bit, from 0, turned over. */
export function flipBit(bytes: Uint8Array, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return copy;
}

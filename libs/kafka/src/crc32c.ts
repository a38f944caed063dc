/** CRC-32C's polynomial (Castagnoli), bits reversed (RFC 3720, appendix B.4). */
const POLYNOMIAL = 0x82f63b78;
/** Bytes that one step takes. */
const SLICES = 8;

/** `TABLES[k * 256 + byte]`: what a byte does to the checksum when k more bytes follow it in the same step. */
const TABLES = makeTables();

function makeTables(): Int32Array {
  const tables = new Int32Array(SLICES * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    tables[byte] = crc;
  }
  for (let index = 256; index < tables.length; index += 1) {
    const before = tables[index - 256] as number;
    tables[index] = (before >>> 8) ^ (tables[before & 0xff] as number);
  }
  return tables;
}

/** The CRC-32C of `bytes` from `start` to `end`, as an unsigned 32-bit number; eight bytes a step ("slicing by 8"). */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  const at = (index: number) => bytes[index] as number;
  const table = (slice: number, byte: number) => TABLES[slice * 256 + byte] as number;
  let crc = -1;
  let index = start;
  for (; index + SLICES <= end; index += SLICES) {
    crc ^= at(index) | (at(index + 1) << 8) | (at(index + 2) << 16) | (at(index + 3) << 24);
    crc =
      table(7, crc & 0xff) ^
      table(6, (crc >>> 8) & 0xff) ^
      table(5, (crc >>> 16) & 0xff) ^
      table(4, crc >>> 24) ^
      table(3, at(index + 4)) ^
      table(2, at(index + 5)) ^
      table(1, at(index + 6)) ^
      table(0, at(index + 7));
  }
  for (; index < end; index += 1) crc = (crc >>> 8) ^ table(0, (crc ^ at(index)) & 0xff);
  return ~crc >>> 0;
}

import { concatBytes, decodeBase64, decodeUtf8, encodeBase64, encodeUtf8, malformed, parseDecimal, parseHash } from './canonical-text.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { MerkleError } from './merkle-error.ts';
import { parseNote, writeNote, type Note } from './note.ts';
import { requireSize } from './subtree.ts';
import { requireHash } from './tree-hasher.ts';

/*
 * Two documents of the same shape: some lines, the hashes of a proof, an empty line, and a signed checkpoint. One is what an auditor keeps,
 * https://c2sp.org/tlog-proof, the other what a log sends to a witness, https://c2sp.org/tlog-witness.
 */

/** A record's inclusion, with all that is needed to check it but the record and the keys. */
export interface InclusionDocument {
  /** Anything, at least one byte. Nothing authenticates it. */
  readonly extra?: Uint8Array;
  readonly index: number;
  readonly proof: readonly Uint8Array[];
  /** The signed checkpoint. */
  readonly checkpoint: Note;
}

/** The body of a request to `add-checkpoint`. */
export interface AddCheckpoint {
  /** The size of the checkpoint that the witness cosigned last, 0 for none. */
  readonly oldSize: number;
  /** The consistency proof from that size. */
  readonly proof: readonly Uint8Array[];
  /** The signed checkpoint. */
  readonly checkpoint: Note;
}

/** No proof of either kind has more hashes; tlog-witness has the limit. */
export const MAX_PROOF_HASHES = 63;

const HEADER = 'c2sp.org/tlog-proof@v1';
const [EXTRA, INDEX, OLD] = ['extra ', 'index ', 'old '];

/** Reads a `tlog-proof`, and verifies nothing. Throws a {@link MerkleError}: `format` or `too-large`. */
export function parseInclusionDocument(bytes: Uint8Array): InclusionDocument {
  const { lines, checkpoint } = splitDocument(bytes);
  if (lines.shift() !== HEADER) throw malformed(`A proof must begin with ${HEADER}.`);
  const extra = lines[0]?.startsWith(EXTRA) ? { extra: requireExtra(decodeBase64(valueOf(lines, EXTRA))) } : {};
  return { ...extra, index: parseDecimal(valueOf(lines, INDEX)), proof: parseHashes(lines), checkpoint };
}

/** Writes what {@link parseInclusionDocument} reads. Throws a {@link MerkleError}: `format`, `too-large`, or `invalid-argument` for an index or a hash. */
export function writeInclusionDocument({ extra, index, proof, checkpoint }: InclusionDocument): Uint8Array {
  const extraLines = extra === undefined ? [] : [`${EXTRA}${encodeBase64(requireExtra(extra))}`];
  return joinDocument([HEADER, ...extraLines, `${INDEX}${requireSize(index)}`, ...writeHashes(proof)], checkpoint);
}

/** Reads the body of `add-checkpoint`, and verifies nothing. Throws a {@link MerkleError}: `format` or `too-large`. */
export function parseAddCheckpoint(bytes: Uint8Array): AddCheckpoint {
  const { lines, checkpoint } = splitDocument(bytes);
  return { oldSize: parseDecimal(valueOf(lines, OLD)), proof: parseHashes(lines), checkpoint };
}

/** Writes what {@link parseAddCheckpoint} reads. Throws a {@link MerkleError}: `format`, `too-large`, or `invalid-argument` for a size or a hash. */
export function writeAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): Uint8Array {
  return joinDocument([`${OLD}${requireSize(oldSize)}`, ...writeHashes(proof)], checkpoint);
}

/** The first empty line ends the lines: none of them is empty, and what follows is the checkpoint with an empty line of its own. */
function splitDocument(bytes: Uint8Array): { lines: string[]; checkpoint: Note } {
  const text = decodeUtf8(bytes);
  const end = text.indexOf('\n\n');
  if (end < 0) throw malformed('A checkpoint must follow behind an empty line.');
  return { lines: text.slice(0, end).split('\n'), checkpoint: requireCheckpoint(parseNote(encodeUtf8(text.slice(end + 2)))) };
}

function joinDocument(lines: readonly string[], checkpoint: Note): Uint8Array {
  return concatBytes(encodeUtf8(lines.map((line) => `${line}\n`).join('')), encodeUtf8('\n'), writeNote(requireCheckpoint(checkpoint)));
}

/** Takes the next line off, which must begin so, and gives what follows there. */
function valueOf(lines: string[], label: string): string {
  const line = lines.shift() ?? '';
  if (!line.startsWith(label)) throw malformed(`A line must begin with "${label}".`);
  return line.slice(label.length);
}

function parseHashes(lines: readonly string[]): Uint8Array[] {
  return requireFew(lines).map(parseHash);
}

function writeHashes(proof: readonly Uint8Array[]): string[] {
  return requireFew(proof).map((hash) => encodeBase64(requireHash(hash)));
}

function requireFew<T>(hashes: readonly T[]): readonly T[] {
  if (hashes.length > MAX_PROOF_HASHES) throw new MerkleError('too-large', `A proof has at most ${MAX_PROOF_HASHES} hashes.`);
  return hashes;
}

function requireExtra(extra: Uint8Array): Uint8Array {
  if (extra.length === 0) throw malformed('Extra data that is empty must be left out.');
  return extra;
}

function requireCheckpoint(note: Note): Note {
  parseCheckpoint(note.text);
  return note;
}

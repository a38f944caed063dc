import type { Sha256 } from '@kms/merkle';
import { EvidenceError } from './evidence-error.ts';
import type { RecordFacts } from './read-record.ts';

/** What a log shows of one writer. */
export interface WriterReport {
  readonly writer: string;
  readonly records: number;
  /** The lowest and the highest of its numbers. */
  readonly first: number;
  readonly last: number;
  /** How many numbers between them are not in this log: a writer numbers its events over all organizations. */
  readonly holes: number;
}

/** Numbers that follow one another, of which the log has all. */
interface Run {
  first: number;
  last: number;
  /** The chain's hash before its first and after its last record, 32 bytes in lower-case hexadecimal. */
  before: string;
  after: string;
}

interface Writer {
  records: number;
  first: number;
  last: number;
  /** In ascending order, and nowhere touching. */
  readonly runs: Run[];
  /** Up to this number the runs are forgotten. */
  floor: number;
}

/** So many runs are remembered over all writers, about 200 bytes each. */
const MAX_RUNS = 100_000;
const GENESIS = '0'.repeat(64);

/**
 * Follows each writer's chain through a log: `previoushash` of number n is SHA-256(`previoushash` of n-1 ‖ bytes of n-1), and number 1 begins
 * with zeros. One organization's log has holes, and a number that was sent again may come late, so what is checked is every link whose two
 * ends are here, and that no number is here twice.
 */
export class WriterChains {
  readonly #sha256: Sha256;
  readonly #maxRuns: number;
  readonly #writers = new Map<string, Writer>();
  readonly #scratch = new Uint8Array(32 + 65_536);
  #runs = 0;
  #links = 0;
  #unchecked = 0;

  constructor(sha256: Sha256, maxRuns = MAX_RUNS) {
    this.#sha256 = sha256;
    this.#maxRuns = maxRuns;
  }

  /** How many links between two records have been checked. */
  get links(): number {
    return this.#links;
  }

  /** Records that came so late that what stood around their number is forgotten: neither their links nor their number could be checked. */
  get unchecked(): number {
    return this.#unchecked;
  }

  reports(): WriterReport[] {
    return [...this.#writers].map(([writer, { records, first, last }]) => {
      return { writer, records, first, last, holes: last - first + 1 - records };
    });
  }

  /** Takes the log's next record. Throws an {@link EvidenceError}: `duplicate-record` or `broken-chain`. */
  add(index: number, facts: RecordFacts, bytes: Uint8Array): void {
    const { id, sequence, previousHash } = facts;
    const bad = (code: 'duplicate-record' | 'broken-chain', what: string) => new EvidenceError(code, what, { record: { index, id } });
    const writer = this.#writer(facts);
    if ((sequence === 1) !== (previousHash === GENESIS)) throw bad('broken-chain', 'does not begin its writer’s chain as it should.');
    this.#count(writer, sequence);
    if (sequence <= writer.floor) {
      this.#unchecked += 1;
      return;
    }
    const at = placeOf(writer.runs, sequence);
    const [left, right] = [writer.runs[at - 1], writer.runs[at]];
    if (left !== undefined && sequence <= left.last)
      throw bad('duplicate-record', `has the number ${sequence} of its writer, which an earlier record has already.`);
    const after = this.#hash(previousHash, bytes);
    const follows = left?.last === sequence - 1;
    const leads = right?.first === sequence + 1;
    if (follows && left.after !== previousHash) throw bad('broken-chain', 'does not fit the record before it in its writer’s chain.');
    if (leads && right.before !== after) throw bad('broken-chain', 'does not fit the record behind it in its writer’s chain.');
    this.#links += Number(follows) + Number(leads);
    if (follows && leads) {
      [left.last, left.after] = [right.last, right.after];
      writer.runs.splice(at, 1);
      this.#runs -= 1;
    } else if (follows) {
      [left.last, left.after] = [sequence, after];
    } else if (leads) {
      [right.first, right.before] = [sequence, previousHash];
    } else {
      writer.runs.splice(at, 0, { first: sequence, last: sequence, before: previousHash, after });
      this.#runs += 1;
      if (this.#runs > this.#maxRuns) this.#forget();
    }
  }

  #writer({ writer, sequence }: RecordFacts): Writer {
    const known = this.#writers.get(writer);
    if (known !== undefined) return known;
    const made = { records: 0, first: sequence, last: sequence, runs: [], floor: 0 };
    this.#writers.set(writer, made);
    return made;
  }

  #count(writer: Writer, sequence: number): void {
    writer.records += 1;
    writer.first = Math.min(writer.first, sequence);
    writer.last = Math.max(writer.last, sequence);
  }

  /** Forgets the older half of each writer's runs, and where that is not enough all runs of the writers that came first. */
  #forget(): void {
    for (const writer of this.#writers.values()) this.#forgetRuns(writer, Math.floor(writer.runs.length / 2));
    for (const writer of this.#writers.values()) {
      if (this.#runs <= this.#maxRuns / 2) return;
      this.#forgetRuns(writer, writer.runs.length);
    }
  }

  #forgetRuns(writer: Writer, count: number): void {
    const forgotten = writer.runs.splice(0, count);
    writer.floor = forgotten.at(-1)?.last ?? writer.floor;
    this.#runs -= forgotten.length;
  }

  #hash(previousHash: string, bytes: Uint8Array): string {
    const joined = bytes.length <= 65_536 ? this.#scratch.subarray(0, 32 + bytes.length) : new Uint8Array(32 + bytes.length);
    for (let at = 0; at < 32; at += 1) joined[at] = (digit(previousHash, 2 * at) << 4) | digit(previousHash, 2 * at + 1);
    joined.set(bytes, 32);
    return toHex(this.#sha256(joined));
  }
}

/** Where a number stands or would stand: behind the last run that begins at or before it. */
function placeOf(runs: readonly Run[], sequence: number): number {
  if ((runs.at(-1)?.first ?? 0) <= sequence) return runs.length;
  let [low, high] = [0, runs.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((runs[middle] as Run).first <= sequence) low = middle + 1;
    else high = middle;
  }
  return low;
}

function digit(hex: string, at: number): number {
  const code = hex.charCodeAt(at);
  return code < 0x3a ? code - 0x30 : code - 0x57;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Bytes in lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  let hex = '';
  for (const byte of bytes) hex += HEX[byte];
  return hex;
}

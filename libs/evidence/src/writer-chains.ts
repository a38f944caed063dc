import { HASH_BYTES, MAX_ENTRY_BYTES, sameBytes, type Sha256 } from '@kms/merkle';
import { ChainRuns, GENESIS, type Met, type Run } from './chain-runs.ts';
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

/** What a part of a log shows of its writers: data alone, which can go from thread to thread. */
export interface ChainsState {
  readonly writers: readonly { readonly writer: string; readonly records: number; readonly runs: readonly Run[] }[];
  readonly links: number;
}

interface Writer {
  records: number;
  first: number;
  last: number;
  readonly chain: ChainRuns<Run>;
  /** Up to this number the runs are forgotten. */
  floor: number;
}

/** So many runs are remembered over all writers, about 200 bytes each. */
const MAX_RUNS = 100_000;

/**
 * Follows each writer's chain through a log: `previoushash` of number n is SHA-256(`previoushash` of n-1 ‖ bytes of n-1), and number 1 begins
 * with zeros. One organization's log has holes, and a number that was sent again may come late, so what is checked is every link whose two
 * ends are here, and that no number is here twice.
 */
export class WriterChains {
  readonly #sha256: Sha256;
  readonly #maxRuns: number;
  readonly #writers = new Map<string, Writer>();
  readonly #scratch = new Uint8Array(HASH_BYTES + MAX_ENTRY_BYTES);
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

  /** All that was shown; null where some of it is forgotten. */
  state(): ChainsState | null {
    const writers = [...this.#writers].map(([writer, { records, chain, floor }]) => ({ writer, records, runs: chain.runs, floor }));
    if (writers.some(({ floor }) => floor > 0)) return null;
    return { writers: writers.map(({ writer, records, runs }) => ({ writer, records, runs })), links: this.#links };
  }

  /**
   * Takes what the next part of the log showed by itself. False where the two do not fit: a number is in both, a link between them is broken, or it
   * is more than is remembered. Then this has taken a part of it, and MUST NOT be used any more: only one pass over both tells what is wrong.
   */
  join({ writers, links }: ChainsState): boolean {
    if (this.state() === null) return false;
    for (const { writer: name, records, runs } of writers) {
      const writer = this.#writer(name, (runs[0] as Run).first);
      for (const run of runs) {
        const met = this.#put(writer, run);
        if (met === null || met.fitsBelow === false || met.fitsAbove === false) return false;
        writer.first = Math.min(writer.first, run.first);
        writer.last = Math.max(writer.last, run.last);
      }
      writer.records += records;
    }
    this.#links += links;
    return this.#runs <= this.#maxRuns;
  }

  /** Takes the log's next record. Throws an {@link EvidenceError}: `duplicate-record` or `broken-chain`. */
  add(index: number, facts: RecordFacts, bytes: Uint8Array): void {
    const { id, sequence, previousHash } = facts;
    const bad = (code: 'duplicate-record' | 'broken-chain', what: string) => new EvidenceError(code, what, { record: { index, id } });
    const writer = this.#writer(facts.writer, sequence);
    if ((sequence === 1) !== sameBytes(previousHash, GENESIS)) throw bad('broken-chain', 'does not begin its writer’s chain as it should.');
    this.#count(writer, sequence);
    if (sequence <= writer.floor) {
      this.#unchecked += 1;
      return;
    }
    const met = this.#put(writer, { first: sequence, last: sequence, before: previousHash, after: this.#hash(previousHash, bytes) });
    if (met === null) throw bad('duplicate-record', `has the number ${sequence} of its writer, which an earlier record has already.`);
    const { fitsBelow, fitsAbove } = met;
    if (fitsBelow === false) throw bad('broken-chain', 'does not fit the record before it in its writer’s chain.');
    if (fitsAbove === false) throw bad('broken-chain', 'does not fit the record behind it in its writer’s chain.');
    if (this.#runs > this.#maxRuns) this.#forget();
  }

  /** Puts a run at its place, and counts. */
  #put({ chain }: Writer, run: Run): Met<Run> | null {
    const { length } = chain.runs;
    const met = chain.put(run);
    if (met === null) return null;
    this.#links += Number(met.fitsBelow !== null) + Number(met.fitsAbove !== null);
    this.#runs += chain.runs.length - length;
    return met;
  }

  #writer(name: string, sequence: number): Writer {
    const known = this.#writers.get(name);
    if (known !== undefined) return known;
    const made = { records: 0, first: sequence, last: sequence, chain: new ChainRuns<Run>(), floor: 0 };
    this.#writers.set(name, made);
    return made;
  }

  #count(writer: Writer, sequence: number): void {
    writer.records += 1;
    writer.first = Math.min(writer.first, sequence);
    writer.last = Math.max(writer.last, sequence);
  }

  /** Forgets the older half of each writer's runs, and where that is not enough all runs of the writers that came first. */
  #forget(): void {
    for (const writer of this.#writers.values()) this.#forgetRuns(writer, Math.floor(writer.chain.runs.length / 2));
    for (const writer of this.#writers.values()) {
      if (this.#runs <= this.#maxRuns / 2) return;
      this.#forgetRuns(writer, writer.chain.runs.length);
    }
  }

  #forgetRuns(writer: Writer, count: number): void {
    const forgotten = writer.chain.runs.splice(0, count);
    writer.floor = forgotten.at(-1)?.last ?? writer.floor;
    this.#runs -= forgotten.length;
  }

  #hash(previousHash: Uint8Array, bytes: Uint8Array): Uint8Array {
    const length = HASH_BYTES + bytes.length;
    const joined = length <= this.#scratch.length ? this.#scratch.subarray(0, length) : new Uint8Array(length);
    joined.set(previousHash);
    joined.set(bytes, HASH_BYTES);
    return this.#sha256(joined);
  }
}

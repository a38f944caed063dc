import { ChainRuns, type Met, type Run } from '@kms/evidence';
import { GENESIS } from '@kms/journal';
import { notice, violation, type Finding, type MessagePlace } from './finding.ts';
import { RecentHashes } from './recent-hashes.ts';

/** An event's place in its writer's chain. */
export interface ChainedEvent {
  writer: string;
  sequence: number;
  /** The writer's chain hash before the event, as the event states it: 32 bytes. */
  previousHash: Buffer;
  /** The chain hash after it: `SHA-256(previous hash ‖ bytes)`. It stands for the event's bytes. */
  hash: Buffer;
}

/** When and where an event was read, times in milliseconds. */
export interface Reading {
  place: MessagePlace;
  /** By the broker's clock: when it was appended to its partition. */
  appendedAt: number;
  /** By the reader's clock. */
  now: number;
}

/** Numbers of a writer that did not come, between two that did. */
export interface Gap {
  writer: string;
  first: number;
  last: number;
  /** When a number above it was read, by the reader's clock. */
  noticedAt: number;
  /** Where the event behind it lies. */
  place: MessagePlace;
}

export interface ChainLimits {
  /** Whether reading began at the first message that there ever was, so that each writer's number 1 must come. */
  fromFirst: boolean;
  /** Most gaps that are kept open, over all writers; the one that was noticed first is given up beyond that. */
  maxGaps: number;
  /** Most writers that are known; the one without gaps that was quiet longest is forgotten beyond that. */
  maxWriters: number;
  /** What the hashes of events may take, by which doubles are compared, in bytes. */
  recentBytes: number;
}

/** Numbers that came without a gap between them. */
interface FollowedRun extends Run {
  /** When the last was appended to the topic. */
  appendedAt: number;
  /** Of the gap before the first. */
  noticedAt: number;
  isReported: boolean;
  place: MessagePlace;
}

interface Writer {
  readonly chain: ChainRuns<FollowedRun>;
  /** Whether its number 1 must come. */
  readonly fromFirst: boolean;
}

/**
 * Holds each writer's events, in whatever order they come, against its numbers and its chain. It keeps the runs of numbers that came, not the
 * events. Events of one writer come out of order where they are in several partitions, and a missing number may still come: a gap
 * is one only when {@link overdue} says so.
 */
export class WriterChains {
  readonly #limits: ChainLimits;
  readonly #recent: RecentHashes;
  /** The writer that was heard last is the last. */
  readonly #writers = new Map<string, Writer>();
  /** Those that have gaps, the one whose gap was noticed first before the others. */
  readonly #gapped = new Set<string>();
  #gaps = 0;
  /** Whether a writer was forgotten: it may come back with a number that is not its first. */
  #hasForgotten = false;
  #firstGivenUp: Finding | null = null;
  /**
   * When reading began, by the broker's clock: a number whose predecessor was appended until then may have been there before the first message
   * that was read, and is not missing. Infinity until it is known.
   */
  horizon = Infinity;
  doubles = 0;
  /** Of the doubles: those whose bytes could not be compared, because the first is too long ago. */
  uncompared = 0;

  constructor(limits: ChainLimits) {
    this.#limits = limits;
    this.#recent = new RecentHashes(limits.recentBytes);
  }

  get writers(): number {
    return this.#writers.size;
  }

  /** Takes an event. Whether it is new; and what is wrong with it, or has become right. */
  add(event: ChainedEvent, reading: Reading): { isNew: boolean; findings: Finding[] } {
    const { writer, sequence, previousHash: before, hash: after } = event;
    const known = this.#writer(writer);
    const gaps = gapsOf(known);
    const { place, appendedAt, now: noticedAt } = reading;
    const met = known.chain.put({ first: sequence, last: sequence, before, after, appendedAt, noticedAt, isReported: false, place });
    if (met === null) return { isNew: false, findings: this.#compare(event, place) };
    const findings = judge(event, reading, met);
    this.#count(writer, known, gaps);
    this.#recent.set(writer, sequence, after);
    return { isNew: true, findings: [...findings, ...this.#keepBounds()] };
  }

  /** Says of the gaps that were noticed at `until` or before that they are missing, once of each. */
  overdue(until: number): Finding[] {
    const findings: Finding[] = [];
    for (const { gap, run, left } of this.#eachGap()) {
      if (run.isReported || gap.noticedAt > until || this.#isExcused(left)) continue;
      run.isReported = true;
      findings.push(gapFinding(gap));
    }
    return findings;
  }

  /** The open gaps, whether they were reported or not; none that are excused by {@link horizon}. */
  gaps(): Gap[] {
    return [...this.#eachGap()].filter(({ left }) => !this.#isExcused(left)).map(({ gap }) => gap);
  }

  /** What was said to be missing and has not come, what was given up included. */
  missing(): Finding[] {
    const open = [...this.#eachGap()].filter(({ run }) => run.isReported).map(({ gap }) => gapFinding(gap));
    return this.#firstGivenUp === null ? open : [this.#firstGivenUp, ...open];
  }

  #writer(id: string): Writer {
    const known = this.#writers.get(id) ?? {
      chain: new ChainRuns<FollowedRun>(),
      fromFirst: this.#limits.fromFirst && !this.#hasForgotten,
    };
    this.#writers.delete(id);
    this.#writers.set(id, known);
    return known;
  }

  #isExcused(left: FollowedRun | undefined): boolean {
    return left !== undefined && left.appendedAt <= this.horizon;
  }

  #compare({ writer, sequence, hash }: ChainedEvent, place: MessagePlace): Finding[] {
    const first = this.#recent.get(writer, sequence);
    if (first !== null && !first.equals(hash)) {
      const message = `Writer ${writer}, number ${sequence}: the bytes are not those that came under it before.`;
      return [violation('conflict', message, { place, writer, sequence })];
    }
    this.doubles += 1;
    if (first === null) this.uncompared += 1;
    return [];
  }

  #count(id: string, writer: Writer, before: number): void {
    const now = gapsOf(writer);
    this.#gaps += now - before;
    if (now > 0) this.#gapped.add(id);
    else this.#gapped.delete(id);
  }

  *#eachGap(): Generator<{ gap: Gap; run: FollowedRun; left: FollowedRun | undefined }> {
    for (const writer of this.#gapped) {
      const { chain, fromFirst } = this.#writers.get(writer) as Writer;
      for (const [index, run] of chain.runs.entries()) {
        const left = chain.runs[index - 1];
        if (left === undefined && !(fromFirst && run.first > 1)) continue;
        const { noticedAt, place } = run;
        yield { gap: { writer, first: (left?.last ?? 0) + 1, last: run.first - 1, noticedAt, place }, run, left };
      }
    }
  }

  /** Gives up what there is too much of. A number of a gap that was given up counts as a double when it comes. */
  #keepBounds(): Finding[] {
    if (this.#writers.size > this.#limits.maxWriters) this.#forgetQuietest();
    if (this.#gaps <= this.#limits.maxGaps) return [];
    for (const { gap, run, left } of this.#eachGap()) {
      const writer = this.#writers.get(gap.writer) as Writer;
      const before = gapsOf(writer);
      const isExcused = this.#isExcused(left);
      const isNews = !run.isReported && !isExcused;
      if (!isExcused) this.#firstGivenUp ??= gapFinding(gap);
      closeGap(writer.chain.runs, run, left);
      this.#count(gap.writer, writer, before);
      return isNews ? [gapFinding(gap)] : [];
    }
    return [];
  }

  #forgetQuietest(): void {
    for (const id of this.#writers.keys()) {
      if (this.#gapped.has(id)) continue;
      this.#writers.delete(id);
      this.#hasForgotten = true;
      return;
    }
  }
}

/** What is wrong with a number that has not come before, or has become right; tells the run that it is in now when and where it was read. */
function judge({ writer, sequence, previousHash }: ChainedEvent, { place, appendedAt }: Reading, met: Met<FollowedRun>): Finding[] {
  const { run, fitsBelow, fitsAbove, merged, above } = met;
  const findings: Finding[] = [];
  const isRight = sequence === 1 ? GENESIS.equals(previousHash) : fitsBelow !== false;
  if (!isRight) findings.push(chainFinding(writer, sequence, place));
  if (fitsAbove === false) findings.push(chainFinding(writer, sequence + 1, (merged ?? run).place));
  const isClosed = merged?.isReported ?? (fitsAbove !== null && sequence === 1 && run.isReported);
  if (isClosed) findings.push(notice('gap-closed', `Writer ${writer}: number ${sequence} came after all.`, { place, writer, sequence }));
  if (fitsBelow !== null) run.appendedAt = merged?.appendedAt ?? appendedAt;
  else if (fitsAbove !== null) run.place = place;
  // What lies below was noticed when the number above it came.
  else if (above !== undefined) [run.noticedAt, run.isReported] = [above.noticedAt, above.isReported];
  return findings;
}

function gapsOf({ chain: { runs }, fromFirst }: Writer): number {
  const isFirstMissing = fromFirst && runs[0] !== undefined && runs[0].first > 1;
  return Math.max(0, runs.length - 1) + (isFirstMissing ? 1 : 0);
}

/** Takes the numbers between two runs for numbers that came. */
function closeGap(runs: FollowedRun[], run: FollowedRun, left: FollowedRun | undefined): void {
  if (left === undefined) {
    run.first = 1;
    return;
  }
  const { first, before, noticedAt, isReported, place } = left;
  Object.assign(run, { first, before, noticedAt, isReported, place });
  runs.splice(runs.indexOf(left), 1);
}

function chainFinding(writer: string, sequence: number, place: MessagePlace): Finding {
  return violation('chain', `Writer ${writer}, number ${sequence}: it does not continue the chain.`, { place, writer, sequence });
}

function gapFinding({ writer, first, last, place }: Gap): Finding {
  const numbers = first === last ? `number ${first} is` : `numbers ${first} to ${last} are`;
  return violation('gap', `Writer ${writer}: ${numbers} missing before ${last + 1}.`, { place, writer, sequence: first });
}

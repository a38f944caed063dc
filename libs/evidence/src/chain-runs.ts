import { sameBytes } from '@kms/merkle';

/** Numbers of a writer that follow one another, of which all came. */
export interface Run {
  first: number;
  last: number;
  /** The chain's hash before the first and after the last, 32 bytes. */
  before: Uint8Array;
  after: Uint8Array;
}

/** What a number, or a run of them, met where it was put. */
export interface Met<R extends Run> {
  /** The run that it is in now. */
  readonly run: R;
  /** Whether its hash before is that after the number below, and its hash after that before the number above; null where those did not come. */
  readonly fitsBelow: boolean | null;
  readonly fitsAbove: boolean | null;
  /** The run above that is part of `run` now, where it closed the gap between two. */
  readonly merged: R | undefined;
  /** The next run above `run`, which it does not touch. */
  readonly above: R | undefined;
}

/** What a writer's first number has before it. */
export const GENESIS = new Uint8Array(32);

/**
 * The numbers of one writer that came, in whatever order, as runs: ascending, nowhere touching, with the chain's hashes at their ends. So each
 * link between two numbers is checked once, when the second of them comes.
 */
export class ChainRuns<R extends Run> {
  /** MUST NOT be changed but by {@link put} and by leaving out or widening runs so that they stay in order. */
  readonly runs: R[] = [];

  /** Puts `next` among the runs, as part of a neighbour where it touches one; null where one of its numbers has come before. */
  put(next: R): Met<R> | null {
    const { runs } = this;
    const at = this.#placeOf(next.first);
    const [below, above] = [runs[at - 1], runs[at]];
    if ((below !== undefined && next.first <= below.last) || (above !== undefined && next.last >= above.first)) return null;
    const follows = below?.last === next.first - 1;
    const leads = above?.first === next.last + 1;
    const fitsBelow = follows ? sameBytes(below.after, next.before) : null;
    const fitsAbove = leads ? sameBytes(above.before, next.after) : null;
    const merged = follows && leads ? above : undefined;
    if (follows) [below.last, below.after] = leads ? [above.last, above.after] : [next.last, next.after];
    else if (leads) [above.first, above.before] = [next.first, next.before];
    else runs.splice(at, 0, next);
    if (merged !== undefined) runs.splice(at, 1);
    const run = follows ? below : leads ? above : next;
    return { run, fitsBelow, fitsAbove, merged, above: runs[follows ? at : at + 1] };
  }

  /** Behind the last run that begins at or before a number. */
  #placeOf(number: number): number {
    const { runs } = this;
    if ((runs.at(-1)?.first ?? 0) <= number) return runs.length;
    let [low, high] = [0, runs.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((runs[middle] as R).first <= number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

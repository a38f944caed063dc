import type { Finding } from './finding.ts';
import type { Follower } from './follower.ts';
import type { Report } from './report.ts';

/** Says what is found as it is found, and in the end whether all was good. */
export class Tally {
  readonly #report: Report;
  readonly #print: (line: string) => void;
  /** Violations that nothing can take back; gaps can close. */
  #violations = 0;
  #first: Finding | null = null;

  constructor(report: Report, print: (line: string) => void) {
    this.#report = report;
    this.#print = print;
  }

  take(findings: readonly Finding[]): void {
    for (const finding of findings) {
      const line = this.#report.finding(finding);
      if (line !== null) this.#print(line);
      if (finding.kind !== 'violation' || finding.code === 'gap') continue;
      this.#violations += 1;
      this.#first ??= finding;
    }
  }

  status(follower: Follower, now: number): void {
    this.#print(this.#report.status(follower.summary(now)));
  }

  /** Says the end, and answers whether there is no violation. */
  end(follower: Follower, now: number): boolean {
    const gaps = follower.missing();
    const first = this.#first ?? gaps[0] ?? null;
    for (const log of follower.logs()) this.#print(this.#report.log(log));
    this.#print(this.#report.end(follower.summary(now), this.#violations + gaps.length, first));
    return first === null;
  }
}

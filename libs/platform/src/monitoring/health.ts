/** How far something has come that has work to do. */
export interface Progress {
  /** Whether there is work that waits. */
  hasWork: boolean;
  /** Counts the attempts that ended, well or badly: what fails aloud has not stalled, and starting again would not help it. */
  attempts: number;
}

/** How long work may wait without any attempt that ends, in milliseconds. */
export const STALL_LIMIT_MS = 60_000;
/** How often progress is looked at, in milliseconds. */
const LOOK_EVERY_MS = 5_000;

/**
 * Whether something makes progress, by what is seen of it from time to time. Only time in which this process itself ran counts, so that one
 * that was suspended for an hour is not taken for stalled when it goes on.
 */
export class ProgressWatch {
  #attempts = -1;
  #waitedMs = 0;
  #lookedAt: number;

  /** `now` is in milliseconds on a clock that never goes back. */
  constructor(
    readonly read: () => Progress,
    readonly now: () => number = () => performance.now(),
  ) {
    this.#lookedAt = now();
  }

  /** To be called every five seconds. */
  look(): void {
    const { hasWork, attempts } = this.read();
    const now = this.now();
    const elapsed = Math.min(now - this.#lookedAt, 2 * LOOK_EVERY_MS);
    this.#lookedAt = now;
    this.#waitedMs = hasWork && attempts === this.#attempts ? this.#waitedMs + elapsed : 0;
    this.#attempts = attempts;
  }

  get isStalled(): boolean {
    return this.#waitedMs >= STALL_LIMIT_MS;
  }
}

/** How long an answer of a check is used again, in milliseconds: probes cost the database one question a second at most. */
const ANSWER_AGE_MS = 1_000;
/** Longest time that a check may take, in milliseconds; then it counts as failed. */
const CHECK_TIMEOUT_MS = 1_500;

/** Something that must hold for a service to serve. */
export type Check = () => boolean | Promise<unknown>;

/** Asks a check at most once a second, and takes an error, `false` or no answer in time for no. */
export class CachedCheck {
  #askedAt = -Infinity;
  #answer: Promise<boolean> = Promise.resolve(false);

  constructor(
    readonly check: Check,
    readonly now: () => number = () => performance.now(),
  ) {}

  holds(): Promise<boolean> {
    if (this.now() - this.#askedAt < ANSWER_AGE_MS) return this.#answer;
    this.#askedAt = this.now();
    this.#answer = this.#ask();
    return this.#answer;
  }

  async #ask(): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => (timer = setTimeout(resolve, CHECK_TIMEOUT_MS, false)));
    const asked = Promise.resolve()
      .then(this.check)
      .then(
        (answer) => answer !== false,
        () => false,
      );
    const answer = await Promise.race([asked, late]);
    clearTimeout(timer);
    return answer;
  }
}

/** A service's health: whether it makes progress, and whether it can serve. */
export class Health {
  readonly #watches = new Map<string, ProgressWatch>();
  readonly #checks = new Map<string, CachedCheck>();
  readonly #timer: NodeJS.Timeout;
  #state: 'starting' | 'running' | 'ending' = 'starting';

  constructor() {
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** Names something that must go on for the process to count as alive. */
  progress(name: string, read: () => Progress): void {
    this.#watches.set(name, new ProgressWatch(read));
  }

  /** Names something that must hold for the service to be ready. */
  require(name: string, check: Check): void {
    this.#checks.set(name, new CachedCheck(check));
  }

  /** Looks at all progress; done every five seconds by itself. */
  look(): void {
    for (const watch of this.#watches.values()) watch.look();
  }

  /** Says that the service is up. */
  running(): void {
    if (this.#state === 'starting') this.#state = 'running';
  }

  /** Says that the service is about to end: it is not ready any more. */
  ending(): void {
    this.#state = 'ending';
    clearInterval(this.#timer);
  }

  /** What has stalled. */
  stalled(): string[] {
    return [...this.#watches].filter(([, watch]) => watch.isStalled).map(([name]) => name);
  }

  /** What keeps the service from serving. */
  async missing(): Promise<string[]> {
    if (this.#state !== 'running') return [this.#state];
    const answers = await Promise.all([...this.#checks].map(async ([name, check]) => ((await check.holds()) ? [] : [name])));
    return answers.flat();
  }
}

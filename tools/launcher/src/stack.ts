/** Something that runs until it is stopped. */
export interface Part {
  stop(): Promise<void>;
  /** Ends it at once; what it leaves undone, its next start takes up. Not needed where it ends with this process anyway. */
  kill?(): unknown;
}

const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 10_000;

/** The launch was ended from outside before it was done. */
export class LaunchEnded extends Error {
  override readonly name = 'LaunchEnded';
}

/** Everything that was started, ended in the opposite order. Once it is ending, nothing more is started. */
export class Stack {
  readonly #ends: (() => Promise<void> | void)[] = [];
  readonly #kills: (() => unknown)[] = [];
  readonly #ending = new AbortController();

  constructor(readonly say: (line: string) => void) {}

  /** Aborted as soon as the end begins. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /** Notes how something that now runs is ended. */
  add(end: () => Promise<void> | void): void {
    this.#ends.push(end);
  }

  /** Throws {@link LaunchEnded} where the end has begun: nothing more may be started. */
  assertGoing(): void {
    if (this.signal.aborted) throw new LaunchEnded();
  }

  /** Starts a part, and starts it again whenever it ends by itself: after a second, then ever later, at most after ten. */
  async keep<Running extends Part>(name: string, start: (onExit: () => void) => Promise<Running>): Promise<Running> {
    this.assertGoing();
    let part: Running | null = null;
    let restarting: Promise<void> = Promise.resolve();
    const onExit = () => {
      part = null;
      if (this.signal.aborted) return;
      this.say(`${name} ended by itself; it is started again.`);
      restarting = this.#startAgain(async () => (part = await start(onExit)));
    };
    this.add(async () => {
      await restarting;
      await part?.stop();
    });
    this.#kills.push(() => part?.kill?.());
    const first = await start(onExit);
    part = first;
    return first;
  }

  async #startAgain(start: () => Promise<unknown>): Promise<void> {
    for (let delay = FIRST_DELAY_MS; await this.#pause(delay); delay = Math.min(delay * 2, LONGEST_DELAY_MS)) {
      try {
        await start();
        return;
      } catch (error) {
        if (!this.signal.aborted) this.say(error instanceof Error ? error.message : String(error));
      }
    }
  }

  /** False where the end began meanwhile. */
  #pause(milliseconds: number): Promise<boolean> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.signal.removeEventListener('abort', done);
        resolve(!this.signal.aborted);
      };
      const timer = setTimeout(done, milliseconds);
      this.signal.addEventListener('abort', done);
      if (this.signal.aborted) done();
    });
  }

  /** Ends all parts at once, out of order. */
  kill(): void {
    for (const kill of this.#kills) kill();
  }

  async end(launching: Promise<unknown>): Promise<void> {
    this.#ending.abort();
    await launching;
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop()) await end();
  }
}

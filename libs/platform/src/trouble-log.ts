import type { Logger } from './logging.ts';

/** Shortest time between two lines about a trouble that goes on, in milliseconds. */
const INTERVAL_MS = 5_000;

export interface TroubleLogOptions {
  logger: Pick<Logger, 'warn' | 'error' | 'info'>;
  level: 'warn' | 'error';
  /** What is said of the trouble, and what when it is over. */
  trouble: string;
  over: string;
  /** Milliseconds on a clock that never goes back. */
  now?: () => number;
}

/**
 * Logs what fails again and again until it works: at once when it begins, then at most every five seconds with how often it failed since
 * the last line, and once when it is over. Something that fails and works in turn is held to the same five seconds.
 */
export class TroubleLog {
  readonly #options: Required<TroubleLogOptions>;
  #failures = 0;
  #isReported = false;
  #reportedAt = -Infinity;

  constructor({ now = () => performance.now(), ...options }: TroubleLogOptions) {
    this.#options = { now, ...options };
  }

  failed(error: unknown): void {
    const { logger, level, trouble, now } = this.#options;
    this.#failures += 1;
    if (now() - this.#reportedAt < INTERVAL_MS) return;
    logger[level]({ err: error, failures: this.#failures }, trouble);
    this.#failures = 0;
    this.#isReported = true;
    this.#reportedAt = now();
  }

  /** To be told whenever it works: it costs nothing while there is no trouble. */
  worked(): void {
    if (!this.#isReported) return;
    const { logger, over } = this.#options;
    logger.info({ failures: this.#failures }, over);
    this.#failures = 0;
    this.#isReported = false;
  }
}

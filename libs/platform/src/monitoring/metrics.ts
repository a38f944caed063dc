import { collectDefaultMetrics, Registry, type Metric } from 'prom-client';
import { Distribution, type Sample } from './distribution.ts';

export type Labels = Readonly<Record<string, string>>;
/** What is read when somebody asks for the metrics. It may ask a database; one that fails or takes too long is left out. */
export type Read = () => readonly Sample[] | Promise<readonly Sample[]>;

/** A cache's count of the questions that it could answer and of those that it could not. */
export type Lookups = Record<'hit' | 'miss', number>;

type Type = 'counter' | 'gauge' | 'histogram';

/** Longest wait for one metric, in milliseconds: the others must not wait for a database that is away. */
const READ_TIMEOUT_MS = 2_000;

/**
 * A process's metrics. What happens often is counted in plain numbers that the code holds in its hand, and everything is read and written
 * out only when it is asked for. A label's values are fixed by the code: never a handler, a key, an organization, or anything unbounded.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #sources = new Map<string, Read[]>();
  readonly #distributions = new Map<string, Distribution>();
  #unread = 0;

  constructor() {
    this.counter('kms_metrics_unread_total', 'Metrics that could not be read when they were asked for', () => [{ value: this.#unread }]);
  }

  /** CPU, memory, event-loop lag and garbage collection of the process, under the names that dashboards for Node know. */
  collectProcess(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  counter(name: string, help: string, read: Read): void {
    this.#register('counter', name, help, read);
  }

  gauge(name: string, help: string, read: Read): void {
    this.#register('gauge', name, help, read);
  }

  /**
   * A counter for each member of `counts`, whose name is the label's value: whoever holds the object adds to its members. `labels` stand
   * beside it; the same name may be given again with others.
   */
  counts(name: string, help: string, label: string, counts: Readonly<Record<string, number>>, labels: Labels = {}): void {
    this.counter(name, help, () => Object.entries(counts).map(([member, value]) => ({ labels: { ...labels, [label]: member }, value })));
  }

  /** How often a cache knew the answer and how often not; `lookups` is counted up by the cache. */
  cache(cache: string, lookups: Lookups): void {
    this.counts('kms_cache_lookups_total', 'Questions to a cache, by whether it knew the answer', 'result', lookups, { cache });
  }

  /** A histogram. The same name may be asked for again with other values of the same labels; for the same ones it is the same. */
  distribution(name: string, help: string, bounds: readonly number[], labels: Labels = {}): Distribution {
    const key = `${name} ${JSON.stringify(labels)}`;
    const known = this.#distributions.get(key);
    if (known !== undefined) return known;
    const distribution = new Distribution(bounds);
    this.#distributions.set(key, distribution);
    this.#register('histogram', name, help, () => distribution.samples(name, labels));
    return distribution;
  }

  /** All metrics as text. */
  write(): Promise<string> {
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #register(type: Type, name: string, help: string, read: Read): void {
    const sources = this.#sources.get(name);
    if (sources !== undefined) {
      sources.push(read);
      return;
    }
    const reads = [read];
    this.#sources.set(name, reads);
    const get = async () => ({
      name,
      help,
      type,
      aggregator: 'sum',
      values: (await Promise.all(reads.map((one) => this.#read(one)))).flat(),
    });
    // What a registry asks of a metric is its name and this; prom-client's types know only its own classes.
    this.#registry.registerMetric({ name, get } as unknown as Metric);
  }

  async #read(read: Read): Promise<readonly Sample[]> {
    const reading = read();
    if (!(reading instanceof Promise)) return reading;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => (timer = setTimeout(resolve, READ_TIMEOUT_MS, null)));
    const samples = await Promise.race([reading.catch(() => null), late]);
    clearTimeout(timer);
    if (samples === null) this.#unread += 1;
    return samples ?? [];
  }
}

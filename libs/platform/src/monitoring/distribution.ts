/** What one metric says at one moment under one set of labels; `metricName` where it is not the metric's own. */
export interface Sample {
  labels?: Readonly<Record<string, string>>;
  value: number;
  metricName?: string;
}

/** Upper bounds for times in seconds, from what a cache answers in to what the contract allows, and one beyond. */
export const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5] as const;
/** Upper bounds for numbers of events that are handled at once. */
export const EVENTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000] as const;

/**
 * How values are spread: a Prometheus histogram under one set of labels. To observe a value costs tens of nanoseconds, because the labels
 * were looked up before and nothing is allocated; prom-client's own histogram looks them up each time.
 */
export class Distribution {
  readonly #bounds: readonly number[];
  /** One more than there are bounds: the last is for what is greater than all. */
  readonly #counts: Float64Array;
  #sum = 0;

  /** `bounds` are in ascending order, each the greatest value that is counted under it. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let place = 0;
    while (place < bounds.length && value > (bounds[place] as number)) place += 1;
    (this.#counts[place] as number) += 1;
    this.#sum += value;
  }

  /** The cumulative buckets, the sum and the count, as Prometheus writes them. */
  samples(name: string, labels: Readonly<Record<string, string>>): Sample[] {
    let count = 0;
    const buckets = [...this.#counts].map((own, place) => {
      count += own;
      const le = place < this.#bounds.length ? String(this.#bounds[place]) : '+Inf';
      return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
    });
    return [...buckets, { metricName: `${name}_sum`, labels, value: this.#sum }, { metricName: `${name}_count`, labels, value: count }];
  }
}

/** The value that `part` (0 to 1) of the values are at most; 0 where there are none. `sorted` ascends. */
export function percentile(sorted: ArrayLike<number>, part: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0;
}

/** Small statistics on repeated runs. */

export interface Summary {
  readonly median: number;
  /** Smallest and largest run. */
  readonly spread: readonly [number, number];
}

/** Throws RangeError on an empty list: a figure without a run is a bug of the bench. */
export function summarize(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    median: percentile(sorted, 0.5),
    spread: [percentile(sorted, 0), percentile(sorted, 1)],
  };
}

/** The value below which the given share (0–1) of an ascending list lies, interpolated between neighbours. */
export function percentile(sorted: readonly number[], share: number): number {
  const last = sorted.length - 1;
  if (last < 0) throw new RangeError('percentile of an empty list');
  const position = last * Math.min(1, Math.max(0, share));
  const below = sorted[Math.floor(position)] ?? 0;
  const above = sorted[Math.ceil(position)] ?? below;
  return below + (above - below) * (position - Math.floor(position));
}

/** What lies below 0 %, 5 %, … 100 % of an ascending list. */
export function quantiles(sorted: readonly number[]): readonly number[] {
  return Array.from({ length: 21 }, (_, step) => percentile(sorted, step / 20));
}

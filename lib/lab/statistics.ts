// Percentiles as the lab reports them. Pure.

/** Nearest rank: the smallest value that at least `share` (0..1) of the values do not exceed. 0 for no values. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = Math.max(1, Math.ceil(share * sorted.length));
  return sorted[rank - 1] ?? 0;
}

export interface Spread {
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
}

export function spreadOf(values: readonly number[]): Spread {
  return {
    p50: rounded(percentile(values, 0.5)),
    p95: rounded(percentile(values, 0.95)),
    max: rounded(percentile(values, 1)),
  };
}

/** To three decimals: microseconds, when the value is in milliseconds. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

// What every benchmark returns: rows for the table, and whether its promises were kept.

export type Figure = number | string;

export interface BenchResult {
  readonly bench: string;
  readonly ok: boolean;
  readonly rows: readonly Readonly<Record<string, Figure>>[];
  /** Figures that compare rows or stand alone. */
  readonly figures: Readonly<Record<string, Figure>>;
  /** Promises that were not kept. */
  readonly broken: readonly string[];
}

// What every benchmark returns: rows for the table, and whether its promises were kept.

export type Figure = number | string;

/** In the place of a figure. */
export const NOT_MEASURED = "not measured";

/** What a figure is to be some day. A goal that is missed fails nothing: what must hold is in `broken`. */
export interface Goal {
  readonly goal: string;
  readonly wanted: string;
  /** NOT_MEASURED is not met. */
  readonly got: Figure;
  readonly met: boolean;
}

export interface BenchResult {
  readonly bench: string;
  readonly ok: boolean;
  readonly rows: readonly Readonly<Record<string, Figure>>[];
  /** Figures that compare rows or stand alone. */
  readonly figures: Readonly<Record<string, Figure>>;
  readonly goals?: readonly Goal[];
  /** Promises that were not kept. */
  readonly broken: readonly string[];
}

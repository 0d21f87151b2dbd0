// A part of `bench flows`, and how long it takes.

import type { BenchResult, Goal } from "../result.js";

export interface Effort {
  readonly turns: number;
  readonly duration_ms: number;
}

export type Progress = (what: string) => void;

export type Part = Pick<BenchResult, "rows" | "figures" | "broken"> & { readonly goals: readonly Goal[] };

export function lossOf(name: string, { sent, received }: { sent: number; received: number }): string[] {
  return received === sent ? [] : [`${name}: ${sent - received} of ${sent} frames were lost`];
}

// What libFuzzer prints, line by line: figures of its progress, and the report of what it has found. Used by packets.ts.
import type { FindingKind } from "./oracle.js";

export interface Figures {
  readonly runs: number;
  /** Edges of the code. */
  readonly coverage: number;
  /** Edges, and how often each was taken. */
  readonly features: number;
  /** Inputs that are worth keeping. */
  readonly corpus: number;
}

/** What its report begins with, and what that means; the first that fits. The text is the detail. */
const FINDINGS: readonly (readonly [RegExp, FindingKind])[] = [
  [/^steer_fuzz: broken: (.*)/, "wrong"],
  [/ERROR: libFuzzer: (timeout after \d+ seconds)/, "hangs"],
  [/ERROR: libFuzzer: (out-of-memory.*)/, "allocates"],
  [/(runtime error: .*)/, "dies"],
  [/ERROR: (AddressSanitizer: \S+)/, "dies"],
  [/ERROR: (libFuzzer: .*)/, "dies"],
];
/** Behind the report: the input once more, in three notations. */
const REPORT_END = /^MS: |^artifact_prefix=|^stat::/;

export class Report {
  figures: Figures = { runs: 0, coverage: 0, features: 0, corpus: 0 };
  #finding: { readonly kind: FindingKind; readonly detail: string } | undefined;
  #isReport = false;

  get finding(): { readonly kind: FindingKind; readonly detail: string } {
    return this.#finding ?? { kind: "dies", detail: "the process ended without a report" };
  }

  /** Whether the line belongs to the report of a finding. */
  take(line: string): boolean {
    if (REPORT_END.test(line)) this.#isReport = false;
    this.#takeFigures(line);
    for (const [pattern, kind] of this.#finding === undefined ? FINDINGS : []) {
      const detail = pattern.exec(line)?.[1];
      if (detail === undefined) continue;
      this.#finding = { kind, detail };
      this.#isReport = true;
      break;
    }
    return this.#isReport;
  }

  #takeFigures(line: string): void {
    const [, runs, coverage, features, corpus] = /^#(\d+)\s.*cov: (\d+) ft: (\d+) corp: (\d+)\//.exec(line) ?? [];
    if (runs !== undefined)
      this.figures = {
        runs: Number(runs),
        coverage: Number(coverage),
        features: Number(features),
        corpus: Number(corpus),
      };
    const executed = /^stat::number_of_executed_units:\s*(\d+)/.exec(line)?.[1];
    if (executed !== undefined) this.figures = { ...this.figures, runs: Number(executed) };
  }
}

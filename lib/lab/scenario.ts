// What a scenario is, and how its result is told. Used by scenarios/*.ts and main.ts.

import type { Lab, Say } from "./lab.js";
import type { LabSettings, ScenarioName, ScenarioOptions } from "./options.js";

export interface Outcome {
  /** Each way in which the scenario's promise was broken, in words; empty when it held. */
  readonly broken: readonly string[];
  /** What did not hold either, and why that is not held against the layer. */
  readonly unjudged?: readonly string[];
  readonly figures: Readonly<Record<string, unknown>>;
}

export interface ScenarioRun {
  readonly lab: Lab;
  readonly options: ScenarioOptions;
  readonly say: Say;
}

export type Scenario = (run: ScenarioRun) => Promise<Outcome>;

/** The one object that `--json` prints. */
export function resultObject(name: ScenarioName, settings: LabSettings, outcome: Outcome): Record<string, unknown> {
  const { backend, nodes, failoverTarget_ms, families, assignment } = settings;
  const ok = outcome.broken.length === 0;
  return {
    scenario: name,
    backend,
    nodes,
    families,
    assignment,
    ok,
    failoverTarget_ms,
    ...outcome.figures,
    broken: outcome.broken,
    ...(outcome.unjudged === undefined || outcome.unjudged.length === 0 ? {} : { unjudged: outcome.unjudged }),
  };
}

/** Collects what was promised and did not hold. */
export class Promises {
  readonly broken: string[] = [];
  readonly unjudged: string[] = [];
  #excuse: string | undefined;

  expect(held: boolean, otherwise: string): void {
    if (held) return;
    if (this.#excuse === undefined) this.broken.push(otherwise);
    else this.leaveOpen(otherwise, this.#excuse);
  }

  /** Did not hold, and that is not held against the layer. */
  leaveOpen(otherwise: string, why: string): void {
    this.unjudged.push(`${otherwise} (${why})`);
  }

  /** What is expected from now on and does not hold has this reason, if there is one, and is not held against the layer. */
  excuse(why: string | undefined): void {
    this.#excuse = why;
  }
}

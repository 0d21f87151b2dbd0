// What a scenario is, and how its result is told. Used by scenarios/*.ts and main.ts.

import type { Lab, Say } from "./lab.js";
import type { LabSettings, ScenarioName, ScenarioOptions } from "./options.js";

export interface Outcome {
  /** Each way in which the scenario's promise was broken, in words; empty when it held. */
  readonly broken: readonly string[];
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
  const { backend, nodes, failoverTarget_ms, families } = settings;
  const ok = outcome.broken.length === 0;
  return {
    scenario: name,
    backend,
    nodes,
    families,
    ok,
    failoverTarget_ms,
    ...outcome.figures,
    broken: outcome.broken,
  };
}

/** Collects what was promised and did not hold. */
export class Promises {
  readonly broken: string[] = [];

  expect(held: boolean, otherwise: string): void {
    if (!held) this.broken.push(otherwise);
  }
}

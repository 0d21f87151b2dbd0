// Finds the smallest part of a failing plan that still fails in the same way: without whole halves of the faults, then
// without single ones, for shorter, with fewer nodes and fewer users. Called by main.ts.
import { FAIR_WEATHER } from "./network.js";
import type { Load, Scenario } from "./plan.js";
import { NO_LOAD } from "./plan.js";
import { type Outcome, runScenario } from "./run.js";

export interface Shrunk {
  readonly scenario: Scenario;
  readonly outcome: Outcome;
  readonly runs: number;
}

/** Undefined: the plan does not fail. */
export function shrink(scenario: Scenario, say: (line: string) => void): Shrunk | undefined {
  const outcome = runScenario(scenario);
  if (outcome.verdict === "ok") return undefined;
  const shrinker = new Shrinker(scenario, outcome, say);
  shrinker.run();
  return { scenario: shrinker.best, outcome: shrinker.outcome, runs: shrinker.runs };
}

class Shrinker {
  best: Scenario;
  outcome: Outcome;
  runs = 1;
  readonly #say: (line: string) => void;

  constructor(scenario: Scenario, outcome: Outcome, say: (line: string) => void) {
    this.best = scenario;
    this.outcome = outcome;
    this.#say = say;
  }

  /** Until a whole pass changes nothing. */
  run(): void {
    for (let before: Scenario | undefined; before !== this.best; ) {
      before = this.best;
      this.#shorten();
      this.#dropFaults();
      this.#dropUsers();
      this.#dropFlows();
      this.#dropNodes();
      this.#dropVips();
      this.#simplify();
    }
  }

  #try(candidate: Scenario, what: string): boolean {
    this.runs += 1;
    const outcome = runScenario(candidate);
    if (outcome.verdict !== this.outcome.verdict || familyOf(outcome) !== familyOf(this.outcome)) return false;
    this.best = candidate;
    this.outcome = outcome;
    this.#say(`${what}: still fails, ${candidate.faults.length} faults, ${candidate.nodes.length} nodes`);
    return true;
  }

  /** Nothing after the first violation matters. */
  #shorten(): void {
    const end_ms = this.outcome.simulated_ms;
    const faults = this.best.faults.filter((fault) => fault.at_ms <= end_ms);
    if (this.outcome.verdict === "liveness" || end_ms + 1 >= this.best.faultsEnd_ms) return;
    this.#try({ ...this.best, faults, faultsEnd_ms: end_ms + 1 }, "shorter");
  }

  #dropFaults(): void {
    for (let size = this.best.faults.length; size >= 1; size = Math.floor(size / 2)) {
      for (let at = 0; at < this.best.faults.length; ) {
        const faults = without(this.best.faults, at, size);
        if (!this.#try({ ...this.best, faults }, size === 1 ? "a fault less" : `${size} faults less`)) at += size;
      }
    }
  }

  #dropUsers(): void {
    const { load } = this.best;
    if (Object.values(load).every((value) => value === 0)) return;
    if (this.#try({ ...this.best, load: NO_LOAD }, "no users")) return;
    for (const name of Object.keys(load) as (keyof Load)[]) {
      if (name.endsWith("Every_ms") && load[name] > 0) {
        this.#try({ ...this.best, load: { ...this.best.load, [name]: 0 } }, `no ${name}`);
      }
    }
  }

  #dropFlows(): void {
    if (this.best.flows !== undefined) this.#try({ ...this.best, flows: undefined }, "no flows");
  }

  #dropNodes(): void {
    for (const { nodeId } of [...this.best.nodes].reverse()) {
      if (this.best.nodes.length <= 1) return;
      const nodes = this.best.nodes.filter((node) => node.nodeId !== nodeId);
      const core = this.best.core.filter((id) => id !== nodeId);
      this.#try({ ...this.best, nodes, core }, `without node ${nodeId}`);
    }
  }

  #dropVips(): void {
    for (let at = this.best.vips.length - 1; at >= 0 && this.best.vips.length > 1; at--) {
      this.#try({ ...this.best, vips: without(this.best.vips, at, 1) }, "a VIP less");
    }
  }

  #simplify(): void {
    const nodes = this.best.nodes.map((node) => ({ ...node, startAt_ms: 0, nearWrap: false, clockRate: 1 }));
    if (JSON.stringify(nodes) !== JSON.stringify(this.best.nodes)) this.#try({ ...this.best, nodes }, "plain nodes");
    if (this.best.weather !== FAIR_WEATHER) this.#try({ ...this.best, weather: FAIR_WEATHER }, "fair weather");
  }
}

function familyOf(outcome: Outcome): string {
  return outcome.what.split(":")[0] ?? "";
}

function without<T>(values: readonly T[], at: number, count: number): T[] {
  return values.filter((_, index) => index < at || index >= at + count);
}

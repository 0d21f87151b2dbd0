// One process that runs seeds and reports each. Started by pool.ts.
import type { Mode } from "./plan.js";
import { runScenario } from "./run.js";
import type { Result } from "./summary.js";
import { drawScenario } from "./swarm.js";

export interface Job {
  readonly seed: number;
  readonly mode: Mode;
  readonly nodes: number | undefined;
  readonly generation?: number | undefined;
  readonly flows?: boolean | undefined;
}

export type ToWorker = { readonly jobs: readonly Job[] };
export type FromWorker = { readonly result: Result };

/** Whatever it costs, a report comes back. */
export function runJob(job: Job): Result {
  const outcome = runScenario(drawScenario(job.seed, job));
  const { violations: _, ...result } = outcome;
  return result;
}

/** For a run that never came back. */
export function lostResult(job: Job, what: string): Result {
  const scenario = drawScenario(job.seed, job);
  return {
    seed: job.seed,
    verdict: "crash",
    what,
    hash: "",
    settled_ms: undefined,
    target_ms: scenario.failoverTarget_ms,
    simulated_ms: 0,
    node_ms: 0,
    events: 0,
    datagrams: 0,
    faults: {},
    work: {},
  };
}

if (process.send !== undefined && process.argv[2] === "worker") {
  process.on("message", ({ jobs }: ToWorker) => {
    for (const job of jobs) {
      const answer: FromWorker = { result: runJob(job) };
      process.send?.(answer);
    }
  });
  process.on("disconnect", () => process.exit(0));
}

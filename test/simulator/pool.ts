// Spreads seeds over processes. A process of its own per worker, so that an endless loop in the core can be ended and is
// reported as the crash that it is. Called by main.ts.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Result } from "./summary.js";
import { type FromWorker, type Job, lostResult, runJob, type ToWorker } from "./worker.js";

export interface PoolHooks {
  /** The next jobs, few enough to take a second or so; empty = no more. */
  readonly next: () => Job[];
  readonly done: (result: Result) => void;
}

/** A seed that takes longer hangs. */
const SEED_TIMEOUT_MS = 240_000;

export async function runPool(workers: number, hooks: PoolHooks): Promise<void> {
  if (workers === 1) {
    for (let jobs = hooks.next(); jobs.length > 0; jobs = hooks.next()) for (const job of jobs) hooks.done(runJob(job));
    return;
  }
  await Promise.all(Array.from({ length: workers }, () => runWorkers(hooks)));
}

/** One worker after the other: a new one only when one has died. */
async function runWorkers(hooks: PoolHooks): Promise<void> {
  while (!(await runWorker(hooks)));
}

/** True: there was nothing more to do. */
function runWorker(hooks: PoolHooks): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const child = fork(fileURLToPath(new URL(`./worker.${extension}`, import.meta.url)), ["worker"]);
    let jobs: Job[] = [];
    let timer: NodeJS.Timeout | undefined;
    const watch = () => {
      clearTimeout(timer);
      timer = setTimeout(() => child.kill("SIGKILL"), SEED_TIMEOUT_MS);
    };
    const give = () => {
      jobs = hooks.next();
      if (jobs.length === 0) {
        clearTimeout(timer);
        child.disconnect();
        return;
      }
      watch();
      const message: ToWorker = { jobs };
      child.send(message);
    };
    child.on("message", ({ result }: FromWorker) => {
      hooks.done(result);
      jobs.shift();
      if (jobs.length === 0) give();
      else watch();
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      const [lost, ...others] = jobs;
      if (lost === undefined) return resolve(true);
      hooks.done(lostResult(lost, `the process ended with ${signal ?? code}`));
      for (const job of others) hooks.done(runJob(job));
      resolve(false);
    });
    give();
  });
}

// The process in which the decoders run; main.ts starts one for each target, sends it a job and watches it.
import { setImmediate } from "node:timers/promises";
import { readCorpus, writeCorpus } from "./corpus.js";
import { startCoverage } from "./coverage.js";
import { Fuzzer } from "./fuzzer.js";
import { judge } from "./oracle.js";
import { Bench, type FromWorker, type Job, type Progress } from "./protocol.js";
import type { Target } from "./target.js";

const PROGRESS_MS = 1000;

async function findTarget(job: Job): Promise<Target> {
  const module = (await import(job.targets)) as { readonly TARGETS: readonly Target[] };
  const target = module.TARGETS.find(({ name }) => name === job.target);
  if (target === undefined) throw new Error(`no target ${job.target}`);
  return target;
}

function tell(message: FromWorker): void {
  process.send?.(message);
}

function replay(target: Target, input: Uint8Array, bench: Bench): void {
  const started_ms = performance.now();
  bench.put(input);
  const verdict = judge(target, input);
  bench.clear();
  if (!verdict.ok) {
    tell({ type: "finding", finding: { kind: verdict.kind, detail: verdict.detail }, input });
    return;
  }
  const took_ms = performance.now() - started_ms;
  const figures = { runs: 1, reached: 0, corpus: 0, took_ms, added: 0, removed: 0, labels: [verdict.label] };
  tell({ type: "done", figures });
}

async function fuzz(target: Target, job: Job, bench: Bench): Promise<void> {
  const started_ms = performance.now();
  const corpus = readCorpus(job.corpusFolder);
  const isOver = () =>
    "runs" in job.end ? fuzzer.runs >= job.end.runs : performance.now() - started_ms >= job.end.time_ms;
  const onInput = (input: Uint8Array) => bench.put(input);
  const fuzzer: Fuzzer = new Fuzzer({ target, seed: job.seed, corpus, onInput, isOver });
  const progress = (): Progress => {
    const took_ms = performance.now() - started_ms;
    return { runs: fuzzer.runs, reached: fuzzer.reached, corpus: fuzzer.kept.length, took_ms };
  };
  fuzzer.runCorpus();
  let told_ms = performance.now();
  while (fuzzer.failure === undefined && !isOver()) {
    fuzzer.step();
    if (performance.now() - told_ms < PROGRESS_MS) continue;
    told_ms = performance.now();
    bench.clear();
    tell({ type: "progress", figures: progress() });
    // Lets the message out, and the end of main.ts in.
    await setImmediate();
  }
  bench.clear();
  const { failure } = fuzzer;
  if (failure !== undefined) {
    tell({ type: "finding", finding: { kind: failure.kind, detail: failure.detail }, input: failure.input });
    return;
  }
  const figures = progress();
  const kept = job.save ? reduce(target, fuzzer.kept) : fuzzer.kept;
  const changes = job.save ? writeCorpus(job.corpusFolder, kept) : { added: 0, removed: 0 };
  tell({ type: "done", figures: { ...figures, corpus: kept.length, ...changes, labels: [...fuzzer.labels] } });
}

/** What was kept earlier may be superfluous beside something smaller that was kept later: once more, smallest first. */
function reduce(target: Target, inputs: readonly Uint8Array[]): readonly Uint8Array[] {
  const fuzzer = new Fuzzer({ target, seed: 0, corpus: inputs });
  fuzzer.runCorpus();
  return fuzzer.kept;
}

async function work(job: Job): Promise<void> {
  startCoverage();
  const target = await findTarget(job);
  const bench = new Bench(job.bench);
  if (job.replay !== undefined) replay(target, job.replay, bench);
  else await fuzz(target, job, bench);
  bench.close();
  process.disconnect();
}

// Nobody is there to be told any more. After the job, the same makes this process end.
process.on("disconnect", () => process.exit());
process.once("message", (job: Job) => {
  work(job).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  });
});

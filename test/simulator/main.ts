// `npm run sim`: many seeds, one seed, its trace, its smallest failing plan, or the mutants. Started by scripts/sim.mjs.
import { readFileSync } from "node:fs";
import { runMutants } from "./mutantRunner.js";
import { EXIT, HELP, type Options, parseOptions, UsageError } from "./options.js";
import { describeScenario, type Mode } from "./plan.js";
import { runPool } from "./pool.js";
import { runScenario } from "./run.js";
import { shrink } from "./shrink.js";
import { type Result, Summary } from "./summary.js";
import { drawScenario } from "./swarm.js";
import type { Job } from "./worker.js";

/** Few enough to report often, many enough to cost no time between them. */
const BATCH = 8;
const MS_PER_MINUTE = 60_000;

interface CorpusEntry {
  readonly seed: number;
  readonly mode?: Mode;
  readonly nodes?: number;
  /** Of the kinds of faults with which it failed. */
  readonly generation: number;
  /** It failed in a run with flows; others are run without. */
  readonly flows?: boolean;
  /** What was wrong then. */
  readonly note: string;
}

// Whoever reads the beginning only, as `head` does, closes the pipe.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(EXIT.ok);
  throw error;
});

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.help) {
    process.stdout.write(HELP);
    return EXIT.ok;
  }
  if (options.mutant !== undefined) return runMutants(options.mutant, options);
  if (options.seed === undefined) return runSeeds(options);
  return runOne(options, options.seed);
}

async function runSeeds(options: Options): Promise<number> {
  const started_ms = performance.now();
  const summary = new Summary();
  const progress = new Progress(started_ms);
  const queue = new JobQueue(options, started_ms);
  await runPool(options.workers, {
    next: () => (options.untilFailure && summary.failures.length > 0 ? [] : queue.next()),
    done: (result) => {
      summary.add(result);
      progress.done(result);
    },
  });
  const took_ms = performance.now() - started_ms;
  print(options.json ? JSON.stringify(summary.toJson(took_ms)) : summary.toText(took_ms));
  return EXIT[summary.verdict];
}

function runOne(options: Options, seed: number): number {
  const scenario = drawScenario(seed, options);
  if (options.plan) {
    print(describeScenario(scenario).join("\n"));
    return EXIT.ok;
  }
  if (options.shrink) {
    const shrunk = shrink(scenario, (line) => process.stderr.write(`${line}\n`));
    if (shrunk === undefined) {
      print(`seed ${seed} does not fail`);
      return EXIT.ok;
    }
    print([...describeScenario(shrunk.scenario), `${shrunk.outcome.verdict}: ${shrunk.outcome.what}`].join("\n"));
    return EXIT[shrunk.outcome.verdict];
  }
  const outcome = runScenario(scenario, options.trace ? newTracer(options.traceFilter) : undefined);
  const { violations, verdict, what, hash, settled_ms, simulated_ms } = outcome;
  if (options.json) print(JSON.stringify(outcome));
  else {
    for (const violation of violations) print(`${violation.at_ms.toFixed(3)} ${violation.family}: ${violation.what}`);
    const settled = settled_ms === undefined ? "" : `, whole ${settled_ms.toFixed(1)} ms after the faults`;
    print(
      `seed ${seed}: ${verdict}${what === "" ? "" : `: ${what}`}; ${simulated_ms.toFixed(0)} ms simulated${settled}; hash ${hash}`,
    );
  }
  return EXIT[verdict];
}

/** Time, node (0 = the world), what happened. */
function newTracer(filter: RegExp | undefined) {
  return (node: number, line: string, now_ms: number) => {
    const text = `${now_ms.toFixed(3).padStart(10)} ${String(node).padStart(3)} ${line}`;
    if (filter === undefined || filter.test(text)) print(text);
  };
}

/** First the corpus, then seed after seed. */
class JobQueue {
  readonly #options: Options;
  readonly #end_ms: number;
  readonly #first: Job[];
  #next: number;

  constructor(options: Options, started_ms: number) {
    this.#options = options;
    this.#end_ms = options.minutes === undefined ? Number.NaN : started_ms + options.minutes * MS_PER_MINUTE;
    this.#next = options.first;
    const { flows } = options;
    const entries = options.corpus ? readCorpus().filter((entry) => (entry.flows ?? false) === flows) : [];
    this.#first = entries.map(({ seed, mode, nodes, generation }) => ({
      seed,
      nodes,
      generation,
      flows,
      mode: mode ?? options.mode,
    }));
  }

  next(): Job[] {
    const { mode, nodes, generation, flows, first, seeds, minutes, untilFailure } = this.#options;
    const batch = untilFailure ? 1 : BATCH;
    const jobs = this.#first.splice(0, batch);
    const isOver = () => (minutes === undefined ? this.#next >= first + seeds : performance.now() >= this.#end_ms);
    while (jobs.length < batch && !isOver()) jobs.push({ seed: this.#next++, mode, nodes, generation, flows });
    return jobs;
  }
}

const PROGRESS_EVERY_MS = 60_000;

/** Of a long run, on stderr: every failure at once, and now and then how far it is. */
class Progress {
  readonly #started_ms: number;
  #told_ms: number;
  #seeds = 0;
  #failures = 0;

  constructor(started_ms: number) {
    this.#started_ms = started_ms;
    this.#told_ms = started_ms;
  }

  done({ seed, verdict, what }: Result): void {
    this.#seeds += 1;
    if (verdict !== "ok") {
      this.#failures += 1;
      process.stderr.write(`sim: seed ${seed}: ${verdict}: ${what}\n`);
    }
    const now_ms = performance.now();
    if (now_ms - this.#told_ms < PROGRESS_EVERY_MS) return;
    this.#told_ms = now_ms;
    const minutes = ((now_ms - this.#started_ms) / MS_PER_MINUTE).toFixed(0);
    process.stderr.write(`sim: ${minutes} min, ${this.#seeds} seeds, ${this.#failures} failed\n`);
  }
}

function readCorpus(): readonly CorpusEntry[] {
  return JSON.parse(readFileSync(new URL("./corpus.json", import.meta.url), "utf8")) as CorpusEntry[];
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const usage = error instanceof UsageError ? `${error.message}; see --help` : undefined;
  process.stderr.write(`sim: ${usage ?? (error instanceof Error ? error.stack : String(error))}\n`);
  process.exitCode = EXIT.usage;
}

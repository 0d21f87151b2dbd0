// `npm run fuzz`: one process after the other fuzzes its target, watched from here: a decoder that never returns, or that
// eats all memory, can be told of only from outside. Progress goes to stderr, the result to stdout.
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { RainfrontError } from "../../lib/errors.js";
import { writeFinding } from "./corpus.js";
import { type Options, parseOptions, USAGE, usageError } from "./options.js";
import type { Finding, FindingKind } from "./oracle.js";
import { fuzzPackets } from "./packets.js";
import { type Done, type FromWorker, type Job, readBench } from "./protocol.js";
import type { Target } from "./target.js";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const ROOT = join(HERE, "..", "..");
const LOOK_MS = 250;
const HEAP_MB_MAX = 256;
/** Large, so that a collection seldom falls into a measurement. */
const SEMI_SPACE_MB = 32;

const EXIT_OK = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_FINDING: { readonly [K in FindingKind]: number } = {
  throws: 10,
  wrong: 11,
  allocates: 12,
  slow: 13,
  hangs: 14,
  dies: 15,
};

interface Outcome extends Done {
  readonly name: string;
  readonly finding?: Finding & { readonly file: string };
}

const NOTHING: Done = { runs: 0, reached: 0, corpus: 0, took_ms: 0, added: 0, removed: 0, labels: [] };

function say(text: string): void {
  process.stderr.write(`fuzz: ${text}\n`);
}

function startWorker(): ChildProcess {
  const memory = [`--max-old-space-size=${HEAP_MB_MAX}`, `--max-semi-space-size=${SEMI_SPACE_MB}`];
  // The coverage that somebody else measures here would be reset by the fuzzer's own.
  const { NODE_V8_COVERAGE: _coverage, ...env } = process.env;
  return fork(join(HERE, "worker.ts"), {
    execArgv: [...process.execArgv, ...memory],
    env,
    serialization: "advanced",
    stdio: ["ignore", 2, 2, "ipc"],
  });
}

/** Runs one target to its end or its first finding. */
function runTarget(job: Job, findings: string, hang_ms: number): Promise<Outcome> {
  const worker = startWorker();
  const stop = () => worker.kill("SIGKILL");
  process.once("exit", stop);
  worker.send(job);
  return new Promise((resolve, reject) => {
    let outcome: Outcome = { ...NOTHING, name: job.target };
    let isDone = false;
    const found = (finding: Finding, input: Uint8Array) => {
      isDone = true;
      const file = writeFinding(findings, job.target, finding.kind, input);
      outcome = { ...outcome, finding: { ...finding, file } };
    };
    const watch = watchForHang(worker, job.bench, hang_ms, (input) => {
      found({ kind: "hangs", detail: `not done after ${hang_ms / 1000} s of processor time` }, input);
      stop();
    });
    worker.on("message", (message: FromWorker) => {
      if (message.type === "finding") return found(message.finding, message.input);
      outcome = { ...outcome, ...message.figures };
      if (message.type === "done") isDone = true;
      else sayProgress(outcome);
    });
    worker.on("error", reject);
    worker.on("close", (code, signal) => {
      clearInterval(watch);
      process.removeListener("exit", stop);
      const input = isDone ? undefined : readBench(job.bench)?.input;
      if (input !== undefined) found({ kind: "dies", detail: `the process ended with ${signal ?? code}` }, input);
      if (isDone) resolve(outcome);
      else reject(new Error(`the process for ${job.target} ended with ${signal ?? code}, without an input under work`));
    });
  });
}

function sayProgress({ name, runs, reached, corpus, took_ms }: Outcome): void {
  say(`${name}: ${runs} inputs, ${Math.round((1000 * runs) / took_ms)}/s, ${reached} reached, ${corpus} kept`);
}

/** Calls back once if the same input is under work for too long, by the worker's own clock: a busy machine is no hang. */
function watchForHang(worker: ChildProcess, bench: string, hang_ms: number, onHang: (input: Uint8Array) => void) {
  let since_ms = 0;
  let seen: number | undefined;
  const timer = setInterval(() => {
    const current = readBench(bench);
    const now_ms = processorTime_ms(worker.pid);
    if (current === undefined || current.count !== seen) {
      seen = current?.count;
      since_ms = now_ms;
    } else if (now_ms - since_ms > hang_ms) {
      clearInterval(timer);
      onHang(current.input);
    }
  }, LOOK_MS);
  return timer;
}

/** What a process has used, all threads; 0 when it is gone. */
function processorTime_ms(pid: number | undefined): number {
  try {
    // Fields 14 and 15 of proc_pid_stat(5), in ticks of 10 ms; the name in field 2 may have spaces.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ");
    return 10 * (Number(fields[11]) + Number(fields[12]));
  } catch {
    return 0;
  }
}

async function readTargets(options: Options): Promise<{ module: string; names: readonly string[] }> {
  const file = resolve(options.module ?? join(HERE, "targets", "index.ts"));
  const module = pathToFileURL(file).href;
  const { TARGETS } = (await import(module)) as { readonly TARGETS: readonly Target[] };
  return { module, names: TARGETS.map(({ name }) => name) };
}

function chosen(options: Options, names: readonly string[]): readonly string[] {
  const unknown = options.targets.find((name) => !names.includes(name));
  if (unknown !== undefined) throw usageError(`no target ${unknown}: there are ${names.join(", ")}`);
  if (options.replay === undefined || options.targets.length === 1) {
    return options.targets.length === 0 ? names : options.targets;
  }
  // A finding's file is called TARGET-KIND-HASH.bin.
  const file = basename(options.replay);
  const owners = names.filter((name) => Object.keys(EXIT_FINDING).some((kind) => file.startsWith(`${name}-${kind}-`)));
  if (owners.length !== 1) throw usageError(`which target is ${options.replay} for? Name it with --target`);
  return owners;
}

async function fuzz(options: Options): Promise<number> {
  const { module, names } = await readTargets(options);
  if (options.list) {
    process.stdout.write(`${names.join("\n")}\n`);
    return EXIT_OK;
  }
  const targets = chosen(options, names);
  const corpus = resolve(options.corpus ?? join(HERE, "corpus"));
  const findings = resolve(options.findings ?? join(ROOT, "build-fuzz"));
  say(`seed ${options.seed}, ${targets.join(", ")}`);
  const end = "runs" in options.end ? options.end : { time_ms: (60_000 * options.end.minutes) / targets.length };
  const outcomes: Outcome[] = [];
  const scratch = mkdtempSync(join(tmpdir(), "rainfront-fuzz-"));
  process.once("exit", () => rmSync(scratch, { recursive: true, force: true }));
  const bench = join(scratch, "input");
  for (const target of targets) {
    writeFileSync(bench, "");
    const replay = options.replay === undefined ? {} : { replay: readInput(options.replay) };
    const corpusFolder = join(corpus, target);
    const job = {
      targets: module,
      target,
      seed: options.seed,
      corpusFolder,
      save: options.save,
      end,
      ...replay,
      bench,
    };
    const outcome = await runTarget(job, findings, options.hang_ms);
    outcomes.push(outcome);
    report(outcome, options);
  }
  if (options.json) process.stdout.write(`${JSON.stringify(summary(options, outcomes))}\n`);
  const first = outcomes.find(({ finding }) => finding !== undefined)?.finding;
  return first === undefined ? EXIT_OK : EXIT_FINDING[first.kind];
}

function readInput(file: string): Uint8Array {
  try {
    return Uint8Array.from(readFileSync(file));
  } catch {
    throw usageError(`--replay ${file} cannot be read`);
  }
}

function report(outcome: Outcome, options: Options): void {
  const { name, runs, reached, corpus, added, removed, finding } = outcome;
  const lines =
    finding === undefined
      ? [`${name}: ${runs} inputs, nothing found; ${reached} reached, ${corpus} kept, ${added} new, ${removed} gone`]
      : [
          `${name}: ${finding.kind}: ${finding.detail}`,
          `${name}: the input is in ${relative(process.cwd(), finding.file)}`,
          `${name}: again with: npm run fuzz -- --target ${name} --replay ${relative(process.cwd(), finding.file)}`,
        ];
  const out = options.json ? process.stderr : process.stdout;
  for (const line of lines) out.write(`${line}\n`);
}

function summary(options: Options, outcomes: readonly Outcome[]) {
  const targets = outcomes.map((outcome) => ({ ...outcome, took_ms: Math.round(outcome.took_ms) }));
  return { ok: outcomes.every(({ finding }) => finding === undefined), seed: options.seed, targets };
}

async function main(): Promise<number> {
  try {
    const options = parseOptions(process.argv.slice(2), Date.now() % 0x1_0000_0000);
    if (!options.help) return await (options.packets ? fuzzPackets(options) : fuzz(options));
    process.stdout.write(USAGE);
    return EXIT_OK;
  } catch (error) {
    const isUsage = error instanceof RainfrontError && error.code === "RF_USAGE";
    say(
      error instanceof RainfrontError ? error.toLine() : error instanceof Error ? (error.stack ?? "") : String(error),
    );
    return isUsage ? EXIT_USAGE : EXIT_FAILED;
  }
}

// Ended by a signal, it still takes its worker and its scratch file along.
for (const [signal, number] of [
  ["SIGINT", 2],
  ["SIGTERM", 15],
  ["SIGHUP", 1],
] as const) {
  process.once(signal, () => process.exit(128 + number));
}
process.exitCode = await main();

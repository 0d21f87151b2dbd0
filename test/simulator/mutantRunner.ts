// Copies the sources, makes one known mistake in the copy, and runs seeds there until one fails: first the one that found it last time. Called by main.ts.
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { MUTANTS, type Mutant, mutated } from "./mutants.js";
import { EXIT, type Options, UsageError } from "./options.js";
import { runScenario } from "./run.js";
import { drawScenario } from "./swarm.js";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const SEEDS_MAX = 2000;
/** By the mutant's name. Written by `--remember`. */
const REMEMBERED = join(ROOT, "test", "simulator", "mutantSeeds.json");
/** Of the vectors' oracle, what the simulator uses. */
const FLOW_RULES = "test/vectors/oracleFlows.ts";
const FIXED_ARGS: readonly string[] = ["--workers", "1", "--until-failure", "--no-corpus", "--json"];
const FOLDERS: readonly string[] = ["raincore", "vip", "steering", "balance"];

interface Report {
  readonly name: string;
  readonly what: string;
  readonly found: boolean;
  /** How many seeds it took. */
  readonly seeds: number;
  /** Which one it was. */
  readonly seed: number | undefined;
  readonly took_ms: number;
  /** How it showed. */
  readonly failure: string;
}

export async function runMutants(name: string, options: Options): Promise<number> {
  const mutants = name === "all" ? [...MUTANTS] : MUTANTS.filter((mutant) => mutant.name === name);
  if (mutants.length === 0)
    throw new UsageError(`no mutant ${name}; there are all, ${MUTANTS.map((m) => m.name).join(", ")}`);
  const remembered = JSON.parse(readFileSync(REMEMBERED, "utf8")) as Readonly<Record<string, number>>;
  const reports: Report[] = [];
  const queue = [...mutants];
  const work = async () => {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const report = await runMutant(mutant, options.remember ? undefined : remembered[mutant.name], options);
      reports.push(report);
      if (!options.json) process.stdout.write(`${describe(report)}\n`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.workers, mutants.length) }, work));
  if (options.remember) remember(reports, remembered);
  const missed = reports.filter((report) => !report.found).map((report) => report.name);
  if (options.json) process.stdout.write(`${JSON.stringify({ ok: missed.length === 0, missed, mutants: reports })}\n`);
  else
    process.stdout.write(
      `${reports.length - missed.length} of ${reports.length} mutants found${missed.length === 0 ? "" : `; not found: ${missed.join(", ")}`}\n`,
    );
  return missed.length === 0 ? EXIT.ok : EXIT.mutant;
}

function remember(reports: readonly Report[], before: Readonly<Record<string, number>>): void {
  const seeds = reports.flatMap(({ name, seed }): [string, number][] => (seed === undefined ? [] : [[name, seed]]));
  const names = MUTANTS.map(({ name }) => name);
  const all = Object.entries({ ...before, ...Object.fromEntries(seeds) }).filter(([name]) => names.includes(name));
  writeFileSync(REMEMBERED, `${JSON.stringify(Object.fromEntries(all.sort()), undefined, 2)}\n`);
}

function describe({ name, found, seeds, seed, took_ms, failure, what }: Report): string {
  const how = found
    ? `found by seed ${seed}, the ${seeds}. that was tried, ${(took_ms / 1000).toFixed(1)} s: ${failure}`
    : `NOT FOUND in ${seeds} seeds (${what})`;
  return `${name}: ${how}`;
}

async function runMutant(mutant: Mutant, remembered: number | undefined, options: Options): Promise<Report> {
  const folder = join(ROOT, "build", "mutants", mutant.name);
  copySources(folder);
  apply(mutant, folder);
  const started_ms = performance.now();
  const ranges = [
    ...(remembered === undefined ? [] : [{ first: remembered, end: remembered + 1 }]),
    { first: options.first, end: options.first + SEEDS_MAX },
  ];
  let seeds = 0;
  let failure: Failure | undefined;
  for (const { first, end } of ranges) {
    for (let next = first; next < end && failure === undefined; ) {
      const result = await runSeeds(mutant, folder, next, end - next);
      seeds += result.seeds;
      const [found] = result.failures;
      if (found === undefined) break;
      // A seed that fails without the mistake, too, proves nothing.
      if (runScenario(drawScenario(found.seed, { ...options, flows: mutant.isOfFlows })).verdict !== "ok")
        next = found.seed + 1;
      else failure = found;
    }
  }
  return {
    name: mutant.name,
    what: mutant.what,
    found: failure !== undefined,
    seeds,
    seed: failure?.seed,
    took_ms: Math.round(performance.now() - started_ms),
    failure: failure === undefined ? "" : `${failure.verdict}: ${failure.what.slice(0, 140)}`,
  };
}

/** Until one fails. */
async function runSeeds(mutant: Mutant, folder: string, first: number, count: number): Promise<Result> {
  const program = join(folder, "test", "simulator", "main.ts");
  const args = ["--seeds", String(count), "--first", String(first), ...FIXED_ARGS];
  if (mutant.isOfFlows === true) args.push("--flows");
  const { status, stdout } = await run(process.execPath, ["--import", "tsx", program, ...args]);
  return readResult(stdout, mutant, status);
}

/** The copy keeps its place below the repository, so that packages are found from there. */
function copySources(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, "lib"), { recursive: true });
  for (const entry of readdirSync(join(ROOT, "lib"), { withFileTypes: true })) {
    const isWanted = entry.isFile() ? entry.name.endsWith(".ts") : FOLDERS.includes(entry.name);
    if (isWanted) cpSync(join(ROOT, "lib", entry.name), join(folder, "lib", entry.name), { recursive: true });
  }
  cpSync(join(ROOT, "test", "simulator"), join(folder, "test", "simulator"), { recursive: true });
  cpSync(join(ROOT, FLOW_RULES), join(folder, FLOW_RULES));
}

function apply(mutant: Mutant, folder: string): void {
  const texts = mutated(mutant, (file) => readFileSync(join(folder, file), "utf8"));
  for (const [file, text] of texts) writeFileSync(join(folder, file), text);
}

interface Result {
  readonly seeds: number;
  readonly failures: readonly Failure[];
}

interface Failure {
  readonly seed: number;
  readonly verdict: string;
  readonly what: string;
}

function readResult(stdout: string, mutant: Mutant, status: number): Result {
  const line = stdout.trim().split("\n").at(-1) ?? "";
  if (!line.startsWith("{")) throw new Error(`mutant ${mutant.name}: the simulator ended with ${status} and no result`);
  return JSON.parse(line) as Result;
}

function run(program: string, args: readonly string[]): Promise<{ status: number; stdout: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
    let stdout = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ status: code ?? 1, stdout }));
  });
}

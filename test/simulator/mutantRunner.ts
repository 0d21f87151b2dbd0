// Copies the sources, makes one known mistake in the copy, and runs seeds there until one fails. Called by main.ts.
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { MUTANTS, type Mutant } from "./mutants.js";
import { EXIT, type Options, UsageError } from "./options.js";
import { runScenario } from "./run.js";
import { drawScenario } from "./swarm.js";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const SEEDS_MAX = 2000;
const FIXED_ARGS: readonly string[] = ["--workers", "1", "--until-failure", "--no-corpus", "--json"];
const FOLDERS: readonly string[] = ["raincore", "vip", "steering", "balance"];

interface Report {
  readonly name: string;
  readonly what: string;
  readonly found: boolean;
  /** How many seeds it took. */
  readonly seeds: number;
  readonly took_ms: number;
  /** How it showed. */
  readonly failure: string;
}

export async function runMutants(name: string, options: Options): Promise<number> {
  const mutants = name === "all" ? [...MUTANTS] : MUTANTS.filter((mutant) => mutant.name === name);
  if (mutants.length === 0)
    throw new UsageError(`no mutant ${name}; there are all, ${MUTANTS.map((m) => m.name).join(", ")}`);
  const reports: Report[] = [];
  const queue = [...mutants];
  const work = async () => {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const report = await runMutant(mutant, options);
      reports.push(report);
      if (!options.json) process.stdout.write(`${describe(report)}\n`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.workers, mutants.length) }, work));
  const missed = reports.filter((report) => !report.found).map((report) => report.name);
  if (options.json) process.stdout.write(`${JSON.stringify({ ok: missed.length === 0, missed, mutants: reports })}\n`);
  else
    process.stdout.write(
      `${reports.length - missed.length} of ${reports.length} mutants found${missed.length === 0 ? "" : `; not found: ${missed.join(", ")}`}\n`,
    );
  return missed.length === 0 ? EXIT.ok : EXIT.mutant;
}

function describe({ name, found, seeds, took_ms, failure, what }: Report): string {
  const how = found
    ? `found after ${seeds} seeds, ${(took_ms / 1000).toFixed(1)} s: ${failure}`
    : `NOT FOUND in ${seeds} seeds (${what})`;
  return `${name}: ${how}`;
}

async function runMutant(mutant: Mutant, options: Options): Promise<Report> {
  const folder = join(ROOT, "build", "mutants", mutant.name);
  copySources(folder);
  apply(mutant, folder);
  const started_ms = performance.now();
  const program = join(folder, "test", "simulator", "main.ts");
  let seeds = 0;
  const end = options.first + SEEDS_MAX;
  for (let next = options.first; next < end; ) {
    const left = end - next;
    const args = ["--seeds", String(left), "--first", String(next), ...FIXED_ARGS];
    const { status, stdout } = await run(process.execPath, ["--import", "tsx", program, ...args]);
    const result = readResult(stdout, mutant, status);
    seeds += result.seeds;
    const [first] = result.failures;
    if (first === undefined) break;
    if (isSound(first.seed, options)) {
      const took_ms = Math.round(performance.now() - started_ms);
      const failure = `${first.verdict}: ${first.what.slice(0, 140)}`;
      return { name: mutant.name, what: mutant.what, found: true, seeds, took_ms, failure };
    }
    next = first.seed + 1;
  }
  const took_ms = Math.round(performance.now() - started_ms);
  return { name: mutant.name, what: mutant.what, found: false, seeds, took_ms, failure: "" };
}

/** A seed that fails without the mistake, too, proves nothing. */
function isSound(seed: number, options: Options): boolean {
  return runScenario(drawScenario(seed, options)).verdict === "ok";
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
}

function apply({ name, file, find, replace, also }: Mutant, folder: string): void {
  for (const change of [{ file, find, replace }, ...(also === undefined ? [] : [also])]) {
    const path = join(folder, change.file);
    const source = readFileSync(path, "utf8");
    const matches = source.split(change.find).length - 1;
    if (matches !== 1) throw new Error(`mutant ${name} matches ${matches} times in ${change.file}, not once`);
    writeFileSync(
      path,
      source.replace(change.find, () => change.replace),
    );
  }
}

interface Result {
  readonly seeds: number;
  readonly failures: readonly { readonly seed: number; readonly verdict: string; readonly what: string }[];
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

// How a stage of `npm test` runs and counts: single checks, node's test runner with a coverage gate, lab scenarios.
// A stage is a list of steps; a step is an async function that returns { passed, failed, skipped }. Called by test.mjs.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT } from "./process.mjs";

/** A scenario or a test file that takes longer hangs. */
const STEP_TIMEOUT_MS = 10 * 60_000;
/** Many tests wait for others, so two at once pay also where there is one core. Node's own choice leaves one of two cores idle. */
const FILES_AT_ONCE = Math.max(2, availableParallelism());
/**
 * Longer than the default, at which a node that stands still for 48 ms is taken for dead: a virtual machine on a busy host does stand still for so long,
 * and what is promised does not depend on the target. How soon a node is replaced is measured, not tested.
 */
const LAB_TARGET_MS = 500;

export async function runStage(name, steps) {
  const started_ms = performance.now();
  say(`\n=== ${name} ===`);
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const step of [await steps()].flat()) {
    const result = await step();
    for (const key of Object.keys(sum)) sum[key] += result[key] ?? 0;
  }
  const took_s = ((performance.now() - started_ms) / 1000).toFixed(1);
  say(`=== ${name}: ${sum.passed} passed, ${sum.failed} failed, ${took_s} s ===`);
  return sum;
}

/** One program that must succeed counts as one test. */
export function check(title, program, args, options = {}) {
  return async () => verdict(title, (await run(program, args, options)).status === 0);
}

/** What failed, for the end of a long output; of a lab's figures the part that says why. */
const failures = [];
const FAILURE_CHARS_MAX = 2000;

export function whatFailed() {
  return failures.map((line) => (line.length > FAILURE_CHARS_MAX ? `${line.slice(0, FAILURE_CHARS_MAX)} …` : line));
}

/** Prints a line and counts one test. */
export function verdict(title, ok, detail = "") {
  if (!ok) failures.push(`${title}${detail === "" ? "" : `: ${detail}`}`);
  say(`${ok ? "✔" : "✖"} ${title}${detail === "" ? "" : `: ${detail}`}`);
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1 };
}

/** Test files in node's runner, TypeScript read by tsx; with a gate, the covered lines of a folder are one more test. */
export function nodeTests(files, gate) {
  const steps = [];
  const scratch = mkdtempSync(join(tmpdir(), "rainfront-test-"));
  const summary = join(scratch, "summary.tap");
  const runner = ["--import", "tsx", "--test", "--test-reporter=spec", "--test-reporter-destination=stdout"];
  runner.push("--test-reporter=tap", `--test-reporter-destination=${summary}`);
  runner.push(`--test-concurrency=${FILES_AT_ONCE}`, ...files);
  const c8 = join(ROOT, "node_modules", "c8", "bin", "c8.js");
  const wrapped = gate === undefined ? runner : [c8, ...c8Options(gate, scratch), process.execPath, ...runner];
  steps.push(async () => {
    if (files.length === 0) return verdict("there are test files", false);
    const { status } = await run(process.execPath, wrapped);
    return countTap(summary, status);
  });
  if (gate !== undefined) steps.push(async () => coverageVerdict(gate, join(scratch, "coverage-summary.json")));
  steps.push(async () => {
    rmSync(scratch, { recursive: true, force: true });
    return {};
  });
  return steps;
}

function c8Options(gate, scratch) {
  const include = ["--all", `--src=${gate.folder}`, `--include=${gate.folder}/**/*.ts`];
  const reports = ["--reporter=text", "--reporter=json-summary", `--reports-dir=${scratch}`];
  return [...include, ...reports, `--temp-directory=${join(scratch, "v8")}`];
}

/** The runner's own sums. A runner that died has none: that is a failure, whatever it managed to print. */
function countTap(file, status) {
  const text = readOr(file, "");
  const figure = (name) => Number(new RegExp(`^# ${name} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
  const failed = figure("fail") + figure("cancelled");
  failures.push(...[...text.matchAll(/^ *not ok \d+ - (?!.*# (?:TODO|SKIP))(.*)$/gm)].map(([, title]) => title));
  return {
    passed: figure("pass"),
    failed: failed === 0 && status !== 0 ? 1 : failed,
    skipped: figure("skipped") + figure("todo"),
  };
}

function coverageVerdict(gate, file) {
  const title = `tests reach at least ${gate.lines} % of the lines of ${gate.folder}`;
  const reached = JSON.parse(readOr(file, "{}")).total?.lines?.pct;
  return verdict(title, typeof reached === "number" && reached >= gate.lines, `${reached ?? "not measured"} %`);
}

/**
 * A short lab run: it must exit with 0 and say `"ok": true` in the last line of stdout. Where `backend` cannot be had, or the machine stood still for
 * so long that what failed tells nothing about the layer, that is said and counted.
 */
export function scenario(args, backend = "af_packet") {
  const all = [...args, "--target", String(LAB_TARGET_MS), "--backend", backend];
  const title = `lab ${all.join(" ")}`;
  return async () => {
    const why = backend === "xdp" ? await whyNoXdp() : undefined;
    if (why !== undefined) {
      say(`﹣ ${title}: skipped: ${why}`);
      return { skipped: 1 };
    }
    const program = join(ROOT, "dist", "lib", "lab", "main.js");
    const { status, stdout } = await run(process.execPath, [program, ...all, "--json"], { capture: true });
    const last = stdout.trim().split("\n").at(-1) ?? "";
    const { unjudged } = parsed(last);
    if (status === 0 && Array.isArray(unjudged)) {
      say(`﹣ ${title}: skipped: not judged: ${unjudged.join("; ")}`);
      return { skipped: 1 };
    }
    const ok = status === 0 && isOk(last);
    return verdict(title, ok, last === "" ? `exit status ${status}` : ok ? last : brokenFirst(last));
  };
}

/** A lab's figures with what was broken before all that was measured. */
function brokenFirst(line) {
  const { broken, ...figures } = parsed(line);
  return broken === undefined ? line : JSON.stringify({ broken, ...figures });
}

/** Why no XDP program can be loaded here. One that the kernel refuses, or no addon at all, is for the scenario to fail by. */
async function whyNoXdp() {
  const { loadNativeIfPresent } = await import(pathToFileURL(join(ROOT, "dist", "lib", "native.js")).href);
  const native = loadNativeIfPresent();
  if (native !== undefined && native.xdp === undefined) return "the addon was built without clang or libbpf";
  try {
    native?.xdp.probe();
  } catch (error) {
    if (error.code === "RF_NO_PRIVILEGE") return error.message;
  }
  return undefined;
}

/** Seeds of the simulator, or its mutants: it must exit with 0 and say `"ok":true`. Every mutant is a test of its own. */
export function simulation(args) {
  return async () => {
    const program = join(ROOT, "test", "simulator", "main.ts");
    const { status, stdout } = await run(process.execPath, ["--import", "tsx", program, ...args, "--json"], {
      capture: true,
    });
    const last = stdout.trim().split("\n").at(-1) ?? "";
    const { mutants } = parsed(last);
    if (Array.isArray(mutants) && mutants.length > 0) return mutants.map(mutantVerdict).reduce(sumOf);
    return verdict(`sim ${args.join(" ")}`, status === 0 && isOk(last), last === "" ? `exit status ${status}` : last);
  };
}

function mutantVerdict({ name, found, seeds, seed, failure }) {
  return verdict(
    `the simulator finds the mutant ${name}`,
    found,
    found ? `seed ${seed}, ${failure}` : `${seeds} seeds`,
  );
}

/** The corpus and a while of new inputs; every decoder is a test of its own. Nothing is written to the corpus. */
export function fuzzing(args) {
  return async () => {
    const program = join(ROOT, "test", "fuzz", "main.ts");
    const all = ["--import", "tsx", program, ...args, "--no-save", "--json"];
    const { status, stdout } = await run(process.execPath, all, { capture: true });
    const { targets } = parsed(stdout.trim().split("\n").at(-1) ?? "");
    if (!Array.isArray(targets) || targets.length === 0)
      return verdict("the fuzzer runs", false, `exit status ${status}`);
    return targets.map(targetVerdict).reduce(sumOf);
  };
}

function targetVerdict({ name, runs, finding }) {
  const detail = finding === undefined ? `${runs} inputs` : `${finding.kind}, ${finding.detail}, input ${finding.file}`;
  return verdict(`the fuzzer finds nothing in ${name}`, finding === undefined, detail);
}

/** So many inputs to the packet path in user space, from the vectors on; where clang or its libFuzzer is missing that is said and counted. */
export function packetFuzzing(args) {
  return async () => {
    const program = join(ROOT, "test", "fuzz", "main.ts");
    const all = ["--import", "tsx", program, "--packets", ...args, "--json"];
    const { status, stdout } = await run(process.execPath, all, { capture: true });
    const { ok, runs, findings, skipped } = parsed(stdout.trim().split("\n").at(-1) ?? "");
    if (skipped !== undefined) {
      say(`﹣ the fuzzer finds nothing in the packet path: skipped: ${skipped}`);
      return { skipped: 1 };
    }
    const details = (findings ?? []).map(({ kind, detail, file }) => `${kind}, ${detail}, input ${file}`);
    const detail = ok === true ? `${runs} inputs` : details.join("; ") || `exit status ${status}`;
    return verdict("the fuzzer finds nothing in the packet path", status === 0 && ok === true && runs > 0, detail);
  };
}

function sumOf(a, b) {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed };
}

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return {};
  }
}

function isOk(line) {
  return parsed(line).ok === true;
}

/** Never rejects. With `capture`, stdout is returned instead of shown. */
export function run(program, args, { capture = false, cwd = ROOT, env = process.env } = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, env, stdio: ["ignore", capture ? "pipe" : "inherit", "inherit"] });
    let stdout = "";
    child.stdout?.setEncoding("utf8").on("data", (text) => {
      stdout += text;
    });
    const timer = setTimeout(() => {
      say(`✖ not finished after ${STEP_TIMEOUT_MS / 60_000} minutes, stopped`);
      child.kill("SIGTERM");
      setTimeout(() => child.kill("SIGKILL"), 10_000).unref();
    }, STEP_TIMEOUT_MS);
    const finish = (status) => {
      clearTimeout(timer);
      resolve({ status, stdout });
    };
    child.on("error", (error) => {
      say(`✖ ${program}: ${error.message}`);
      finish(127);
    });
    child.on("close", (code) => finish(code ?? 128));
  });
}

export function say(text) {
  process.stdout.write(`${text}\n`);
}

function readOr(file, fallback) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return fallback;
  }
}

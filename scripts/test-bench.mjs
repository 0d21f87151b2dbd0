// The stage of `npm test` that runs a benchmark: to its end, with all of its figures written. How good they are is not asked: other work on the
// machine decides that. Called by test.mjs.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "./process.mjs";
import { run, say, verdict } from "./test-stages.mjs";

/** One size of a group instead of two, for the sake of time. */
const NODES = 3;
const SYSTEMS = ["rainfront", "corosync"];
/** Of a system's row for its messages, and of that for the group as such: what has to be a number. */
const ROWS = [
  ["messages_per_s", "cpu_us_per_message", "flood_p50_ms", "flood_p99_ms", "light_p50_ms", "light_p99_ms"],
  ["rest_cpu_percent", "rest_wakeups_per_s", "kills", "view_p50_ms", "view_max_ms"],
];

export function raincoreBench() {
  return async () => {
    // Figures that somebody has measured here in earnest stay as they are.
    const folder = mkdtempSync(join(tmpdir(), "rainfront-bench-"));
    try {
      const program = join(ROOT, "dist", "bench", "main.js");
      const args = ["raincore", "--quick", "--nodes", String(NODES)];
      const { status } = await run(process.execPath, [program, ...args], { cwd: folder });
      const result = resultIn(folder, "raincore");
      const end = verdict(`bench ${args.join(" ")}`, status === 0 && result.ok === true, `exit status ${status}`);
      return [end, ...SYSTEMS.map((system) => rowsOf(system, result))].reduce(sumOf);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
}

/** What a packet costs; and that native/bench builds. */
export function pipelineBench() {
  return quickBench("pipeline", (row) => row.ns_per_packet > 0);
}

/** What assigned flows cost: that nothing is lost or forgotten on the way. */
export function flowsBench() {
  const costs = [
    "cpu_ns_per_flow_loop",
    "cpu_ns_per_packet_loop",
    "cpu_ns_per_established_packet",
    "connections_per_s",
  ];
  return quickBench("flows", (row) => costs.some((cost) => row[cost] > 0));
}

/** Each row has its figure. */
function quickBench(name, isMeasured) {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "rainfront-bench-"));
    try {
      const program = join(ROOT, "dist", "bench", "main.js");
      const { status } = await run(process.execPath, [program, name, "--quick"], { cwd: folder });
      const { ok, rows = [], figures = {}, broken = [], why } = resultIn(folder, name);
      const skipped = Object.values(figures).find((figure) => String(figure).startsWith("skipped: "));
      if (rows.length === 0 && skipped !== undefined) {
        say(`﹣ bench ${name}: ${skipped}`);
        return { passed: 0, failed: 0, skipped: 1 };
      }
      const measured = rows.filter(isMeasured).length;
      const isWhole = status === 0 && ok === true && measured === rows.length && rows.length > 0;
      const end = [`exit status ${status}, ${measured} figures`, ...broken].join("; ");
      return verdict(`bench ${name} --quick`, isWhole, why ?? end);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
}

/** Goodput through two gateways: that there is some, each way. */
export function scaleBench() {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "rainfront-bench-"));
    try {
      const program = join(ROOT, "dist", "bench", "main.js");
      const args = ["scale", "--quick", "--nodes", "2", "--peer", "none"];
      const { status } = await run(process.execPath, [program, ...args], { cwd: folder });
      const { ok, rows = [], broken = [], why } = resultIn(folder, "scale");
      const carried = rows.filter((row) => row.mbit_per_s > 0);
      const isWhole = status === 0 && ok === true && carried.length === rows.length && rows.length > 0;
      return verdict(`bench ${args.join(" ")}`, isWhole, why ?? broken[0] ?? `exit status ${status}`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
}

function resultIn(folder, name) {
  try {
    return JSON.parse(readFileSync(join(folder, "bench-results", `${name}.json`), "utf8"));
  } catch (error) {
    return { ok: false, why: String(error) };
  }
}

function rowsOf(system, { rows = [], figures = {}, why }) {
  const title = `the bench has the figures of ${system}`;
  // Only what it is compared with may be missing.
  if (system !== "rainfront" && String(figures[system]).startsWith("skipped: ")) {
    say(`﹣ ${title}: ${figures[system]}`);
    return { passed: 0, failed: 0, skipped: 1 };
  }
  const own = rows.filter((row) => row.system === system && row.nodes === NODES);
  const missing = ROWS.flatMap((columns) => {
    const row = own.find((one) => columns[0] in one);
    if (row === undefined) return [`no row with ${columns[0]}`];
    return columns.filter((column) => !isFigure(column, row[column])).map((column) => `${column} is ${row[column]}`);
  });
  return verdict(title, missing.length === 0, why ?? missing.join(", "));
}

/** CPU time is counted in ticks of 10 ms: nodes at rest may have had none. */
function isFigure(column, value) {
  return Number.isFinite(value) && (value > 0 || (value === 0 && column === "rest_cpu_percent"));
}

function sumOf(a, b) {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: (a.skipped ?? 0) + (b.skipped ?? 0) };
}

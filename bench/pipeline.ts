// `bench pipeline`: what a packet costs from its first byte to its verdict, at several numbers of flows, beside DPDK's rte_hash with the same keys, and
// what the XDP program takes for one in the kernel. The measuring is done by native/bench, which is built here. Needs no privileges, but for the XDP program.

import { join } from "node:path";
import { outcomeOf, run } from "../lib/lab/commands.js";
import { ROOT } from "../lib/lab/paths.js";
import { type BenchResult, type Goal, NOT_MEASURED } from "./result.js";

const BUILD = join(ROOT, "build-bench", "native");

const FULL = { rounds: 5, flows: [1000, 65_536, 1_000_000, 10_000_000] };
const QUICK = { rounds: 1, flows: [1000, 65_536] };

/** Of a packet from its first byte to its verdict: what the daemon's ports run, and the batches that remember flows. */
const PIPELINES = ["as a port, by the hash", "with a flow table"] as const;
const PEER = "rte_hash bulk";
const KNOWN_AT_65536_NS_MAX = 60;
const BEYOND_PEER_AT_1000000_NS_MAX = 30;

/** A line of native/bench/pipeline_bench.cc; times are per packet. */
interface Line {
  readonly flows: number;
  readonly what: string;
  readonly ns: number;
  readonly ns_min: number;
  readonly instructions?: number;
}

/** Its first line: why something is not measured, or "". */
interface Preface {
  readonly no_peer: string;
  readonly no_instructions: string;
  readonly no_xdp: string;
}

export async function benchPipeline(quick: boolean): Promise<BenchResult> {
  const { rounds, flows } = quick ? QUICK : FULL;
  const program = await buildProgram();
  process.stderr.write(`measuring ${flows.join(", ")} flows …\n`);
  const { status, stdout, stderr } = await outcomeOf([program, ...[rounds, ...flows].map(String)]);
  const broken = status === 0 ? [] : [`pipeline_bench ended with status ${status}: ${stderr.trim()}`];
  const [preface, ...lines] = stdout.trim().split("\n");
  return resultOf(JSON.parse(preface || "{}") as Preface, lines.map(parseLine), broken);
}

function parseLine(line: string): Line {
  return JSON.parse(line) as Line;
}

/** The path of the program. */
async function buildProgram(): Promise<string> {
  process.stderr.write("building pipeline_bench …\n");
  await run(["cmake", "-S", ROOT, "-B", BUILD, "-DCMAKE_BUILD_TYPE=Release"]);
  await run(["cmake", "--build", BUILD, "--target", "pipeline_bench"]);
  return join(BUILD, "pipeline_bench");
}

function resultOf(preface: Preface, lines: readonly Line[], broken: readonly string[]): BenchResult {
  return {
    bench: "pipeline",
    ok: broken.length === 0,
    rows: lines.map(({ flows, what, ns, ns_min, instructions }) => ({
      flows,
      what,
      ns_per_packet: ns,
      ns_per_packet_min: ns_min,
      ...(instructions === undefined ? {} : { instructions_per_packet: instructions }),
    })),
    figures: {
      ...(preface.no_peer ? { rte_hash: `skipped: ${preface.no_peer}` } : {}),
      ...(preface.no_xdp ? { xdp: `skipped: ${preface.no_xdp}` } : {}),
      ...(preface.no_instructions ? { instructions_per_packet: `skipped: ${preface.no_instructions}` } : {}),
    },
    goals: PIPELINES.flatMap((pipeline) => [knownFlows(lines, pipeline), besidePeer(lines, pipeline)]),
    broken,
  };
}

function knownFlows(lines: readonly Line[], pipeline: string): Goal {
  const ns = costs(lines, 65_536, (what) => what === pipeline)[0];
  return {
    goal: `a packet of one of 65,536 flows, ${pipeline}`,
    wanted: `at most ${KNOWN_AT_65536_NS_MAX} ns`,
    got: ns ?? NOT_MEASURED,
    met: ns !== undefined && ns <= KNOWN_AT_65536_NS_MAX,
  };
}

/** The whole pipeline against the look-up alone, by whichever hash function is the quicker. */
function besidePeer(lines: readonly Line[], pipeline: string): Goal {
  const ns = costs(lines, 1_000_000, (what) => what === pipeline)[0];
  const peer_ns = Math.min(...costs(lines, 1_000_000, (what) => what.startsWith(PEER)));
  const beyond_ns = ns === undefined || !Number.isFinite(peer_ns) ? undefined : Math.round((ns - peer_ns) * 100) / 100;
  return {
    goal: `a packet of one of 1,000,000 flows, ${pipeline}, beyond a look-up in rte_hash`,
    wanted: `at most ${BEYOND_PEER_AT_1000000_NS_MAX} ns`,
    got: beyond_ns ?? NOT_MEASURED,
    met: beyond_ns !== undefined && beyond_ns <= BEYOND_PEER_AT_1000000_NS_MAX,
  };
}

function costs(lines: readonly Line[], flows: number, chosen: (what: string) => boolean): number[] {
  return lines.filter((line) => line.flows === flows && chosen(line.what)).map((line) => line.ns);
}

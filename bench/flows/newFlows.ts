// New connections per second: ever new flows through one node, in a loop that is closed in the kernel on one CPU. So its inverse is the whole path's cost per flow, and beyond the door's
// the node's own.

import type { Figure, Goal } from "../result.js";
import { EXT_MAC, LIVE_BATCH, type LiveKind, type LiveMeasurement, type Testbed } from "../testbed.js";
import { Turns, takeTurns } from "../turns.js";
import { type Effort, lossOf, type Part, type Progress } from "./part.js";
import {
  AUTHORITY_ASKED,
  AUTHORITY_GIVES,
  AUTHORITY_KEEPS,
  HANDLER_TOLD,
  HASH_PASS,
  HASH_RELAY,
  loop_ns,
  type Path,
  type PathMeasurement,
  PathPort,
  RECEIVER_ASKS,
} from "./paths.js";

/** More than any measurement takes. */
const EVER_NEW = 4_000_000_000;
const FLOWS_PER_S_MIN = 200_000;
/** Those whose node has to decide, or to remember. */
const PATHS = [AUTHORITY_KEEPS, AUTHORITY_GIVES, AUTHORITY_ASKED, RECEIVER_ASKS, HANDLER_TOLD];
const KINDS: readonly { readonly kind: LiveKind; readonly packets: number; readonly paths: readonly Path[] }[] = [
  { kind: "tcp-syn", packets: 1, paths: PATHS },
  { kind: "udp", packets: 1, paths: PATHS },
  { kind: "tcp-handshake", packets: 3, paths: [AUTHORITY_KEEPS, AUTHORITY_GIVES] },
];

interface Contestant {
  readonly turns: Turns<PathMeasurement>;
  readonly path: Path;
  readonly kind: LiveKind;
  readonly packets: number;
}

export async function newFlows(bed: Testbed, { turns, duration_ms }: Effort, progress: Progress): Promise<Part> {
  const load = { flows: EVER_NEW, duration_ms };
  const door = new Turns("the door alone", () => doorOf(bed, "tcp-syn", duration_ms), loop_ns);
  const contestants = KINDS.flatMap(({ kind, packets, paths }) =>
    [HASH_PASS, HASH_RELAY, ...paths].map((path): Contestant => {
      const measure = () => PathPort.with(bed, path, (port) => port.run({ kind, ...load }));
      return { turns: new Turns(path.name, measure, loop_ns), path, kind, packets };
    }),
  );
  await takeTurns(turns, [door, ...contestants.map((one) => one.turns)], (turn) => progress(`new flows, ${turn}`));
  const rows = contestants.map((one) => rowOf(one, contestants, door.best_ns));
  return {
    rows,
    figures: { door_cpu_ns_per_packet: Math.round(door.best_ns) },
    goals: [goalOf(rows)],
    broken: contestants.flatMap(brokenOf),
  };
}

/** What comes in there ends there. */
export async function doorOf(bed: Testbed, kind: LiveKind, duration_ms: number): Promise<LiveMeasurement> {
  return bed.behindDoor(() =>
    bed.live({ kind, flows: EVER_NEW, duration_ms, destinationMac: EXT_MAC, countAt: "right" }),
  );
}

function rowOf(one: Contestant, all: readonly Contestant[], door_ns: number): Record<string, Figure> {
  const { turns, path, kind, packets } = one;
  const { best } = turns;
  const flow_ns = turns.best_ns * packets;
  const reference = path.fate === "passed" ? HASH_PASS : HASH_RELAY;
  const plain = all.find((other) => other.path === reference && other.kind === kind);
  return {
    "new flows": path.name,
    packets: kind,
    flows_per_s_core: Math.round(1e9 / flow_ns),
    cpu_ns_per_flow_loop: Math.round(flow_ns),
    cpu_ns_per_flow_node: Math.round(flow_ns - door_ns * packets),
    cpu_ns_per_flow_beyond_hash: Math.round(flow_ns - (plain?.turns.best_ns ?? Number.NaN) * packets),
    flows_assigned: best.counts.flows_assigned ?? 0,
    sent: best.sent,
    lost: best.sent - best.received,
  };
}

function goalOf(rows: readonly Record<string, Figure>[]): Goal {
  const slowest = Math.min(...rows.map((row) => Number(row.flows_per_s_core)));
  return {
    goal: "new flows per second and core through the XDP path, the slowest way",
    wanted: `at least ${FLOWS_PER_S_MIN}`,
    got: slowest,
    met: slowest >= FLOWS_PER_S_MIN,
  };
}

/** How many flows have had their first packet: the generator makes one packet of each flow of a batch, and then the next of each. */
export function flowsIn(sent: number, packets: number): number {
  const round = LIVE_BATCH * packets;
  return Math.floor(sent / round) * LIVE_BATCH + Math.min(sent % round, LIVE_BATCH);
}

/** Nothing is lost, and an authority has assigned each flow once. */
function brokenOf({ turns, path, kind, packets }: Contestant): string[] {
  const isDecided = path.settings.room !== undefined && path.settings.authority === 1;
  return turns.all.flatMap((one) => {
    const flows = isDecided ? flowsIn(one.sent, packets) : 0;
    const assigned = one.counts.flows_assigned ?? 0;
    const name = `${path.name}, ${kind}`;
    return [...lossOf(name, one), ...(assigned === flows ? [] : [`${name}: ${assigned} of ${flows} flows assigned`])];
  });
}

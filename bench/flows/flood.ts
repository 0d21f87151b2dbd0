// What a flood of spoofed SYNs costs the flows that are established. One CPU makes frames and carries them, in rows by turns: a row of established flows' packets, and three of others. These are
// packets of established flows as well (the node does as much for frames as ever), or SYNs of ever new flows; there are as many of them, and they are as long.
//
// So both loops offer the same, and the CPU time of each row is known by itself (testhost/live). A flood may make the established flows' packets dearer, by what it drives out of tables and caches,
// or lose them: that is what it costs them at equal CPU time for them, as they have where a NIC spreads the flood over other queues. And a SYN takes longer than a packet of a known flow: where
// both share a CPU that has no time left, that time is the others' (`.._with_the_floods_own`).

import type { Figure, Goal } from "../result.js";
import type { LiveStream, Testbed } from "../testbed.js";
import { Turns, takeTurns } from "../turns.js";
import { type FloodFigures, floodFigures, type Rows, rowsOf } from "./floodFigures.js";
import { doorOf } from "./newFlows.js";
import { type Effort, lossOf, type Part, type Progress } from "./part.js";
import { AUTHORITY_GIVES, loop_ns, type PathMeasurement, PathPort, ROOM } from "./paths.js";

/** A whole number of the generator's calls, so that each is sent as often as the others. */
const ESTABLISHED = 1 << 17;
/** For each packet of an established flow. */
const OTHERS = 3;
const EVER_NEW = 4_000_000_000;
const POPULATING_MS_MAX = 30_000;
const COST_PERCENT_MAX = 10;

interface Flooded {
  readonly run: PathMeasurement;
  readonly rows: Rows;
  /** Of the established flows, when it was over: those whose next packet went the same way as before, at once. */
  readonly survived: number;
}

export async function flood(bed: Testbed, { turns, duration_ms }: Effort, progress: Progress): Promise<Part> {
  const cost = ({ rows }: Flooded) => rows.loop_ns;
  const beside = (stream: LiveStream) => () => besideEstablished(bed, { ...stream, frames: OTHERS }, duration_ms);
  const harmless = new Turns("packets of known flows", beside({ kind: "tcp-ack", flows: ESTABLISHED }), cost);
  const flooded = new Turns("spoofed SYNs", beside({ kind: "tcp-syn", flows: EVER_NEW, firstFlow: ESTABLISHED }), cost);
  const both = [harmless, flooded];
  const door = new Turns("the door alone", () => doorOf(bed, "tcp-syn", duration_ms), loop_ns);
  await takeTurns(turns, [door, ...both], (turn) => progress(`a flood of SYNs, ${turn}`));
  const figures = floodFigures(harmless.best.rows, flooded.best.rows, door.best_ns, ROOM.opening_max);
  const lost = flooded.all.map(({ survived }) => ESTABLISHED - survived);
  return {
    rows: both.map(rowOf),
    figures: { ...figures, flood_established: ESTABLISHED, flood_established_lost: Math.max(...lost) },
    goals: [goalOf(figures)],
    broken: both.flatMap((one) =>
      one.all.flatMap(({ run, survived }) => [
        ...lossOf(`beside ${one.name}`, run),
        ...assignedOf(run, one === flooded),
        ...(survived === ESTABLISHED ? [] : [`beside ${one.name}, ${ESTABLISHED - survived} flows were forgotten`]),
      ]),
    ),
  };
}

function besideEstablished(
  bed: Testbed,
  others: LiveStream & { readonly frames: number },
  duration_ms: number,
): Promise<Flooded> {
  return PathPort.with(bed, AUTHORITY_GIVES, async (port) => {
    // Of both streams, which have different ports.
    const handshakes = { kind: "tcp-handshake", flows: ESTABLISHED } as const;
    const frames = 2 * 3 * ESTABLISHED;
    await port.run({ ...handshakes, beside: { ...handshakes, frames: 1 }, frames, duration_ms: POPULATING_MS_MAX });
    const run = await port.run({ kind: "tcp-ack", flows: ESTABLISHED, beside: others, duration_ms });
    // A packet in the middle of a connection that the node does not know would be punted.
    const after = await port.run({
      kind: "tcp-ack",
      flows: ESTABLISHED,
      frames: ESTABLISHED,
      duration_ms: POPULATING_MS_MAX,
    });
    const unknown = (run.counts.punt_flow ?? 0) + (after.counts.punt_flow ?? 0);
    return { run, rows: rowsOf(run), survived: after.received - unknown };
  });
}

/** Each SYN is of a flow that nobody knew. */
function assignedOf({ streams, counts }: PathMeasurement, isFlood: boolean): string[] {
  const expected = isFlood ? streams[1].sent : 0;
  return counts.flows_assigned === expected ? [] : [`${counts.flows_assigned} of ${expected} flows were assigned`];
}

function rowOf({ name, best: { run, rows } }: Turns<Flooded>): Record<string, Figure> {
  return {
    "established flows beside": name,
    established_pps: Math.round(rows.established_per_s),
    others_pps: Math.round(rows.others_per_s),
    cpu_ns_per_established_packet: Math.round(rows.established_ns),
    cpu_ns_per_other_packet: Math.round(rows.others_ns),
    flows_assigned: run.counts.flows_assigned ?? 0,
    driven_out: Math.max(0, (run.counts.flows_assigned ?? 0) - ROOM.opening_max),
    punted: run.counts.punt_flow ?? 0,
    lost: run.sent - run.received,
  };
}

function goalOf({ flood_goodput_cost_percent, flood_offered_per_s }: FloodFigures): Goal {
  return {
    goal: `what ${flood_offered_per_s} spoofed SYNs a second cost established flows of their goodput, at equal CPU time for them`,
    wanted: `under ${COST_PERCENT_MAX} %`,
    got: flood_goodput_cost_percent,
    met: flood_goodput_cost_percent < COST_PERCENT_MAX,
  };
}

// What a flood of spoofed SYNs costs the flows that are established. One CPU makes frames and carries them, in rows by turns: a row of established flows' packets, and three of others. These are
// packets of established flows as well (the node does as much for frames as ever), or SYNs of ever new flows; there are as many of them, and they are as long.
//
// So both loops offer the same, from the same CPU time, and the difference is the flood's. It costs goodput in two ways, which are told apart: a SYN takes longer than a packet of a known flow,
// and so takes CPU time away (`goodput_cost_percent`); and it may make the others' packets dearer, by what it drives out of tables and caches (`goodput_cost_percent_per_own_cpu`, which is all
// that is left where the flood has CPU time of its own, as it has where a NIC spreads it over other queues).

import type { Figure } from "../result.js";
import type { LiveStream, Testbed } from "../testbed.js";
import { Turns, takeTurns } from "../turns.js";
import { type FloodFigures, floodFigures, type Rows, rowsOf } from "./floodFigures.js";
import { type Effort, lossOf, type Part, type Progress } from "./part.js";
import { AUTHORITY_GIVES, type PathMeasurement, PathPort, ROOM } from "./paths.js";

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
  const flooded = new Turns("spoofed SYNs", beside({ kind: "tcp-syn", flows: EVER_NEW }), cost);
  const both = [harmless, flooded];
  await takeTurns(turns, both, (turn) => progress(`a flood of SYNs, ${turn}`));
  const figures = floodFigures(harmless.best.rows, flooded.best.rows, ROOM.opening_max);
  const lost = flooded.all.map(({ survived }) => ESTABLISHED - survived);
  return {
    rows: both.map(rowOf),
    figures: { ...figures, flood_established: ESTABLISHED, flood_established_lost: Math.max(...lost) },
    goals: [goalOf(figures)],
    broken: both.flatMap((one) =>
      one.all.flatMap(({ run, survived }) => [
        ...lossOf(`beside ${one.name}`, run),
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

function rowOf({ name, best: { run, rows } }: Turns<Flooded>): Record<string, Figure> {
  return {
    "established flows beside": name,
    established_pps: Math.round(rows.established_per_s),
    others_pps: Math.round(rows.others_per_s),
    cpu_ns_per_established_packet: Math.round(rows.established_ns),
    cpu_ns_per_other_packet: Math.round(rows.others_ns),
    flows_assigned: run.counts.flows_assigned ?? 0,
    punted: run.counts.punt_flow ?? 0,
    lost: run.sent - run.received,
  };
}

function goalOf({ goodput_cost_percent }: FloodFigures) {
  return {
    goal: "what a flood of spoofed SYNs costs established flows of their goodput, at equal offered CPU",
    wanted: `under ${COST_PERCENT_MAX} %`,
    got: goodput_cost_percent,
    met: goodput_cost_percent < COST_PERCENT_MAX,
  };
}

// What the loops of flood.ts come to. Pure.

import type { LiveMeasurement } from "../testbed.js";

/** Of one loop: packets of established flows, and the others beside them. Times are of the whole way, the generator's part included. */
export interface Rows {
  readonly established_per_s: number;
  readonly others_per_s: number;
  readonly established_ns: number;
  readonly others_ns: number;
  /** For each packet of an established flow, with the others that go with it. */
  readonly loop_ns: number;
}

export type FloodFigures = {
  readonly flood_offered_per_s: number;
  /** Of goodput per CPU time that is spent on the established flows themselves. */
  readonly flood_goodput_cost_percent: number;
  /** And per CPU time that is spent on all. */
  readonly flood_goodput_cost_percent_with_the_floods_own: number;
  /** Of a SYN, beyond a packet of a known flow. */
  readonly flood_cpu_ns_per_syn_beyond_known: number;
  /** Of a core, by a million SYNs in a second, without what their making takes. */
  readonly flood_core_percent_at_1m_per_s: number;
  /** How long a flow stays among those that open before the flood has gone round there: its ends have so long to shake hands. */
  readonly flood_opening_lives_ms: number;
};

export function rowsOf({ streams, busy_ns }: Pick<LiveMeasurement, "streams" | "busy_ns">): Rows {
  const [established, others] = streams;
  return {
    established_per_s: (established.received * 1e9) / busy_ns,
    others_per_s: (others.received * 1e9) / busy_ns,
    established_ns: (established.elapsed_ms * 1e6) / established.sent,
    others_ns: (others.elapsed_ms * 1e6) / others.sent,
    loop_ns: busy_ns / established.received,
  };
}

/** `door_ns`: what a packet takes that ends where it comes in. */
export function floodFigures(harmless: Rows, flooded: Rows, door_ns: number, opening_max: number): FloodFigures {
  return {
    flood_offered_per_s: Math.round(flooded.others_per_s),
    flood_goodput_cost_percent: percent(1 - harmless.established_ns / flooded.established_ns),
    flood_goodput_cost_percent_with_the_floods_own: percent(1 - harmless.loop_ns / flooded.loop_ns),
    flood_cpu_ns_per_syn_beyond_known: Math.round(flooded.others_ns - harmless.others_ns),
    flood_core_percent_at_1m_per_s: Math.round((flooded.others_ns - door_ns) / 10),
    flood_opening_lives_ms: Math.round((opening_max * 1000) / flooded.others_per_s),
  };
}

function percent(ratio: number): number {
  return Math.round(ratio * 1000) / 10;
}

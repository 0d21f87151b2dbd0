// The result of `bench scale`: rows with their ratios, goals, and what makes a figure say nothing. Pure.

import { type BenchResult, type Figure, type Goal, NOT_MEASURED } from "../result.js";
import type { ScaleOptions } from "./benchScale.js";
import type { Layout, System } from "./site.js";
import type { Goodput, Load } from "./traffic.js";

export interface Measured extends Goodput {
  readonly system: System;
  readonly nodes: number;
  readonly layout: Layout;
  readonly load: Load;
  /** That came in, at all gateways. */
  readonly frames: number;
  /** That a gateway handed to another one. */
  readonly relayed: number;
  /** That the group made meanwhile. */
  readonly views: number;
  /** Of all of the machine's CPU time. */
  readonly idle_share: number;
  readonly stolen_share: number;
}

/** Ratios to one node that are to be reached, where the VIPs of a pair are on one node. */
const RATIO_MIN: ReadonlyMap<number, number> = new Map([
  [4, 3.8],
  [8, 7.2],
]);
/** Less idle, and the machine is full: then the links do not bound what is carried. */
const IDLE_SHARE_MIN = 0.05;
/** What was on its way when a measurement began may come on top; more, and the links are not bounded. */
const OVER_BOUND_MAX = 1.05;
const NAMES: Readonly<Record<System, string>> = {
  rainfront: "Rainfront",
  keepalived: "keepalived + conntrackd",
};

export function resultOf(
  options: Pick<ScaleOptions, "nodes" | "seconds" | "mbit_per_s" | "backend">,
  measured: readonly Measured[],
  whyNoPeer: string | undefined,
): BenchResult {
  const broken = measured.flatMap((one) => faultsOf(one, options.mbit_per_s));
  return {
    bench: "scale",
    ok: broken.length === 0,
    rows: measured.map((one) => rowOf(one, ratioOf(one, measured))),
    figures: {
      link_mbit_per_s: options.mbit_per_s,
      backend: options.backend,
      assignment: "receiver",
      seconds: options.seconds,
      pairs: Math.max(...options.nodes),
      ...(whyNoPeer === undefined ? {} : { keepalived_conntrackd: `skipped: ${whyNoPeer}` }),
    },
    goals: goalsOf(measured),
    broken,
  };
}

/** To what one node of the same system carries in the same way. */
function ratioOf(one: Measured, measured: readonly Measured[]): number | undefined {
  const base = measured.find(
    ({ system, nodes, layout, load }) =>
      nodes === 1 && system === one.system && layout === one.layout && load === one.load,
  );
  return base === undefined || base.mbit_per_s === 0 ? undefined : one.mbit_per_s / base.mbit_per_s;
}

function rowOf(one: Measured, ratio: number | undefined): Record<string, Figure> {
  const isLayer = one.system === "rainfront";
  return {
    system: NAMES[one.system],
    clients: isLayer ? one.layout : "one active",
    load: one.load,
    nodes: one.nodes,
    mbit_per_s: rounded(one.mbit_per_s, 10),
    ratio_to_one: ratio === undefined ? NOT_MEASURED : rounded(ratio, 100),
    relayed_percent: isLayer ? percent(one.frames === 0 ? 0 : one.relayed / one.frames) : "-",
    views_new: isLayer ? one.views : "-",
    cpu_idle_percent: percent(one.idle_share),
    stolen_percent: percent(one.stolen_share),
    note: one.idle_share < IDLE_SHARE_MIN ? "machine full" : "",
  };
}

/** Best case of a deployment: nothing that is bulky is relayed while all nodes live. */
function goalsOf(measured: readonly Measured[]): Goal[] {
  const loads = [...new Set(measured.map(({ load }) => load))];
  return [...RATIO_MIN].flatMap(([nodes, ratio_min]) =>
    loads.map((load) => {
      const one = measured.find(
        (each) => each.system === "rainfront" && each.layout === "paired" && each.nodes === nodes && each.load === load,
      );
      const ratio = one === undefined ? undefined : ratioOf(one, measured);
      return {
        goal: `${nodes} nodes to one, ${load}`,
        wanted: `at least ${ratio_min}`,
        got: ratio === undefined ? NOT_MEASURED : rounded(ratio, 100),
        met: ratio !== undefined && ratio >= ratio_min,
      };
    }),
  );
}

/** What makes a figure say nothing: errors, or links that are not bounded. */
function faultsOf(one: Measured, mbit_per_s: number): string[] {
  const name = `${NAMES[one.system]}, ${one.nodes} nodes, ${one.layout}, ${one.load}`;
  const bound = one.nodes * mbit_per_s;
  return [
    ...one.errors.map((error) => `${name}: ${error}`),
    ...(one.mbit_per_s > 0 ? [] : [`${name}: nothing was carried`]),
    ...(one.mbit_per_s <= bound * OVER_BOUND_MAX
      ? []
      : [`${name}: ${Math.round(one.mbit_per_s)} Mbit/s through links of ${bound}`]),
  ];
}

function percent(share: number): number {
  return rounded(100 * share, 10);
}

function rounded(value: number, steps: number): number {
  return Math.round(value * steps) / steps;
}

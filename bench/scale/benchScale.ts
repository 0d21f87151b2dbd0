// `bench scale`: goodput through 1 to 8 gateways whose links are bounded, and its ratio to that of one; then the same through keepalived and conntrackd.

import { busyShare, elapsed, readCpuTimes, stolenShare } from "../../lib/cpuTimes.js";
import { RainfrontError } from "../../lib/errors.js";
import { keepCpusAwake } from "../../lib/lab/awake.js";
import { sumCounters } from "../../lib/lab/dataPlaneTotals.js";
import { enterBox } from "../../lib/lab/isolation.js";
import type { Peer } from "../../lib/lab/options.js";
import { whyWithout } from "../../lib/lab/tools.js";
import type { BenchResult } from "../result.js";
import { type Measured, resultOf } from "./report.js";
import { type Layout, ScaleSite, type SiteSize, type System } from "./site.js";
import { carry, LOADS, type Load, makeReady } from "./traffic.js";

export interface ScaleOptions {
  /** Gateways; the first of them is what the others are compared with. */
  readonly nodes: readonly number[];
  readonly seconds: number;
  readonly mbit_per_s: number;
  readonly backend: SiteSize["backend"];
  readonly peer: Peer;
}

/** A pair has one gateway that is active: whichever VIP the client goes by. */
const LAYOUTS: Readonly<Record<System, readonly Layout[]>> = {
  rainfront: ["paired", "spread"],
  keepalived: ["paired"],
};

export async function benchScale(options: ScaleOptions, runFolder: string): Promise<BenchResult> {
  enterBox(130);
  const lacks = whyWithout("wrk");
  if (lacks !== undefined) throw new RainfrontError("RF_LAB_TOOL_MISSING", lacks, { fix: "apt-get install wrk" });
  keepCpusAwake((line) => process.stderr.write(`${line}\n`));
  const why = options.peer === "none" ? "--peer none" : (whyWithout("keepalived") ?? whyWithout("conntrackd"));
  const systems: readonly System[] = why === undefined ? ["rainfront", "keepalived"] : ["rainfront"];
  const measured: Measured[] = [];
  for (const nodes of options.nodes)
    for (const system of systems) measured.push(...(await measureSite(options, { system, nodes }, runFolder)));
  return resultOf(options, measured, why);
}

async function measureSite(
  options: ScaleOptions,
  { system, nodes }: Pick<SiteSize, "system" | "nodes">,
  runFolder: string,
): Promise<Measured[]> {
  const { mbit_per_s, backend, seconds } = options;
  const pairs = Math.max(...options.nodes);
  const measured: Measured[] = [];
  process.stderr.write(`${system}, ${nodes} gateways: building …\n`);
  const site = await ScaleSite.build({ system, nodes, pairs, backend, mbit_per_s }, runFolder);
  try {
    const rest_percent = 100 * (await site.rest());
    process.stderr.write(`${system}, ${nodes} gateways: at rest, ${rest_percent.toFixed(1)} % of a core\n`);
    for (const layout of LAYOUTS[system]) {
      await site.route(layout);
      await makeReady(site);
      for (const load of LOADS) {
        const one = await measure(site, { system, nodes, layout, load }, seconds);
        measured.push(one);
        process.stderr.write(
          `${system}, ${nodes} gateways, ${layout}, ${load}: ${Math.round(one.mbit_per_s)} Mbit/s\n`,
        );
      }
    }
  } finally {
    await site.close();
  }
  return measured;
}

async function measure(
  site: ScaleSite,
  what: { readonly system: System; readonly nodes: number; readonly layout: Layout; readonly load: Load },
  seconds: number,
): Promise<Measured> {
  const before = await dataPlane(site);
  const times = readCpuTimes();
  const goodput = await carry(site, what.load, seconds);
  const cpu = elapsed(times, readCpuTimes());
  const after = await dataPlane(site);
  return {
    ...what,
    ...goodput,
    frames: after.frames - before.frames,
    relayed: after.relayed - before.relayed,
    views: after.epoch - before.epoch,
    idle_share: 1 - busyShare(cpu),
    stolen_share: stolenShare(cpu) ?? 0,
  };
}

/** What all gateways together have counted. */
async function dataPlane(site: ScaleSite): Promise<{ frames: number; relayed: number; epoch: number }> {
  const statuses = await site.statuses();
  const sums = sumCounters(statuses);
  return {
    frames: sums.get("rx_frames") ?? 0,
    relayed: sums.get("relay_out_frames") ?? 0,
    epoch: Math.max(0, ...statuses.map(({ epoch }) => epoch)),
  };
}

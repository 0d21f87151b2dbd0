// `bench raincore`: ordered multicast, failure detection and the cost of rest, Rainfront's Raincore against corosync in one run.
// Runs inside the lab's box: whatever ends this process ends every node and takes the namespaces away.

import { join } from "node:path";
import { keepCpusAwake } from "../../lib/lab/awake.js";
import { enterBox } from "../../lib/lab/isolation.js";
import { buildClient } from "../corosync/client.js";
import { corosyncContenders, quickCorosync } from "../corosync/contenders.js";
import { whyWithoutCorosync } from "../corosync/installed.js";
import type { BenchResult } from "../result.js";
import { Fabric } from "./fabric.js";
import { type Contender, type Extent, type Failure, type Measurement, measure } from "./measure.js";
import { RainfrontSystem } from "./rainfrontSystem.js";
import { resultOf } from "./report.js";

export interface RaincoreBenchOptions {
  readonly quick: boolean;
  readonly nodes: readonly number[] | undefined;
  /** Names that contenders must begin with one of. */
  readonly only: readonly string[] | undefined;
}

/** Stable is what changes no view in a minute of rest, the warm-up included, nor under load. */
const FULL: Extent = {
  payloads: [64, 1024, 16_384],
  warmUp_s: 2,
  flood_s: 4,
  light_s: 4,
  restWarmUp_s: 20,
  rest_s: 40,
  kills: 12,
};
const QUICK: Extent = {
  payloads: [1024],
  warmUp_s: 1,
  flood_s: 1,
  light_s: 1,
  restWarmUp_s: 1,
  rest_s: 2,
  kills: 2,
};

const FAILOVER_TARGET_MS = 150;
/** Stable on a busy machine as well. */
const QUICK_FAILOVER_TARGET_MS = 500;
/** Shorter ones do not stay stable under load where all nodes share two cores. */
const FAST_FAILOVER_TARGETS_MS = [100, 150];

export async function benchRaincore(options: RaincoreBenchOptions, runFolder: string): Promise<BenchResult> {
  enterBox(130);
  keepCpusAwake((line) => process.stderr.write(`${line}\n`));
  const why = isChosen(options, "corosync") ? whyWithoutCorosync() : undefined;
  if (why !== undefined) process.stderr.write(`skipped: corosync: ${why}\n`);
  const peers = isChosen(options, "corosync") && why === undefined ? await corosync(options.quick, runFolder) : [];
  const own = options.quick
    ? [rainfront(QUICK_FAILOVER_TARGET_MS, runFolder)]
    : [rainfront(FAILOVER_TARGET_MS, runFolder), rainfrontFast(runFolder)];
  const contenders = [...own, ...peers].filter(
    (contender) => options.only?.some((name) => contender.name.startsWith(name)) ?? true,
  );
  const extent = options.quick ? QUICK : FULL;
  const results: (Measurement | Failure)[] = [];
  for (const nodes of options.nodes ?? (options.quick ? [2, 4] : [2, 4, 8])) {
    const fabric = new Fabric(nodes);
    await fabric.build();
    for (const contender of contenders) results.push(await measure(contender, fabric, extent, tell));
    await fabric.remove();
  }
  const result = resultOf(results, !options.quick);
  return why === undefined ? result : { ...result, figures: { ...result.figures, corosync: `skipped: ${why}` } };
}

/** Whether any of the contenders whose names begin so is to take part. */
function isChosen({ only }: RaincoreBenchOptions, system: string): boolean {
  return only?.some((name) => name.startsWith(system) || system.startsWith(name)) ?? true;
}

async function corosync(quick: boolean, runFolder: string): Promise<Contender[]> {
  const client = await buildClient();
  const folder = join(runFolder, "corosync");
  return quick ? [quickCorosync(client, folder)] : corosyncContenders(client, folder);
}

function rainfront(target_ms: number, runFolder: string): Contender {
  return { name: "rainfront", settings: [atTarget(target_ms, runFolder)] };
}

function rainfrontFast(runFolder: string): Contender {
  const settings = FAST_FAILOVER_TARGETS_MS.map((target_ms) => atTarget(target_ms, runFolder));
  return { name: "rainfront fast", settings };
}

function atTarget(target_ms: number, runFolder: string): Contender["settings"][number] {
  return {
    system: new RainfrontSystem(`rainfront-${target_ms}`, target_ms, runFolder),
    setting: `failoverTarget ${target_ms} ms`,
  };
}

function tell(what: string): void {
  process.stderr.write(`measuring ${what} …\n`);
}

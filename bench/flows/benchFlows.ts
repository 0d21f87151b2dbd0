// `bench flows`: what it costs to assign flows, to remember them, to stand a flood of new ones, and to keep their connections on another node; one run.

import { keepCpusAwake } from "../../lib/lab/awake.js";
import { enterBox } from "../../lib/lab/isolation.js";
import { loadNativeIfPresent } from "../../lib/native.js";
import type { BenchResult } from "../result.js";
import { Testbed } from "../testbed.js";
import { flood } from "./flood.js";
import { keptConnections } from "./kept.js";
import { newFlows } from "./newFlows.js";
import type { Effort, Part, Progress } from "./part.js";
import { relays } from "./relays.js";

const FULL: Effort = { turns: 3, duration_ms: 1000 };
const QUICK: Effort = { turns: 1, duration_ms: 300 };

const PARTS: Readonly<Record<string, (bed: Testbed, effort: Effort, progress: Progress) => Promise<Part>>> = {
  new: newFlows,
  relays,
  flood,
  kept: keptConnections,
};

export async function benchFlows(quick: boolean, only: readonly string[] = Object.keys(PARTS)): Promise<BenchResult> {
  enterBox(130);
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  keepCpusAwake(say);
  const skipped = loadNativeIfPresent()?.xdp === undefined ? "skipped: built without clang or libbpf" : undefined;
  const bed = new Testbed();
  await bed.build();
  const parts: Part[] = [];
  for (const [name, measure] of Object.entries(PARTS)) {
    if (skipped !== undefined) parts.push({ rows: [], figures: { [name]: skipped }, goals: [], broken: [] });
    else if (only.some((wanted) => name.startsWith(wanted)))
      parts.push(await measure(bed, quick ? QUICK : FULL, (what) => say(`measuring ${what} …`)));
  }
  const broken = parts.flatMap((part) => part.broken);
  return {
    bench: "flows",
    ok: broken.length === 0,
    rows: parts.flatMap((part) => part.rows),
    figures: Object.assign({}, ...parts.map((part) => part.figures)) as BenchResult["figures"],
    goals: parts.flatMap((part) => part.goals),
    broken,
  };
}

// What a cluster costs that has nothing to do: CPU and memory of each node's daemon, ring and data plane included.

import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { waitForCluster } from "../lib/lab/cluster.js";
import { Gateway } from "../lib/lab/gateway.js";
import type { LabSettings } from "../lib/lab/options.js";
import { planLab } from "../lib/lab/plan.js";
import { Switch } from "../lib/lab/switch.js";
import { measureFor } from "../lib/lab/waiting.js";
import { processCpu_s, processResident_bytes } from "./cpu.js";

const WARM_UP_MS = 120_000;
const FOLDER = "/run/rfbench"; // the box's own /run

export interface IdleFigures {
  readonly nodes: number;
  /** Of one core, the node that used most. */
  readonly cpu_percent_max: number;
  readonly resident_mb_max: number;
}

/** Must run inside the lab's box. */
export async function idleCluster(nodes: number, seconds: number): Promise<IdleFigures> {
  const settings: LabSettings = {
    nodes,
    servers: 1,
    failoverTarget_ms: 250,
    backend: "af_packet",
    families: [4],
    keepConnections: false,
    assignment: "authority",
    stickiness: "none",
  };
  const plan = planLab(settings);
  const switches = { external: new Switch("idle-ext"), internal: new Switch("idle-int") };
  mkdirSync(FOLDER, { recursive: true, mode: 0o755 });
  const keyFile = `${FOLDER}/cluster.key`;
  writeFileSync(keyFile, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });
  await Promise.all([switches.external.power(), switches.internal.power()]);
  const gateways = plan.gateways.map(
    (gateway) => new Gateway(gateway, { plan, switches, settings, logFolder: FOLDER, keyFile }),
  );
  await Promise.all(gateways.map((gateway) => gateway.boot()));
  await waitForCluster(gateways, { deadline_ms: 30_000 }, { spread: true });

  // What is measured is a cluster at rest, not one whose code is still being compiled.
  await measureFor(WARM_UP_MS);
  const pids = gateways.map((gateway) => gateway.daemonPid ?? 0);
  const before_s = pids.map(processCpu_s);
  await measureFor(seconds * 1000);
  const percents = pids.map((pid, index) => ((processCpu_s(pid) - (before_s[index] ?? 0)) * 100) / seconds);
  const resident_mb_max = Math.max(...pids.map(processResident_bytes)) / 1e6;
  for (const gateway of gateways) await gateway.kill();
  return { nodes, cpu_percent_max: round(Math.max(...percents)), resident_mb_max: round(resident_mb_max) };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

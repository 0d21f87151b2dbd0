// A front port of node 1 of a cluster of two, without a daemon: how benchmarks set it up, and what it counts.

import { join } from "node:path";
import type { Host } from "../lib/lab/host.js";
import { ROOT } from "../lib/lab/paths.js";
import type { PortBackend } from "../lib/native.js";
import { Helper } from "./helper.js";

const PROGRAM = join(ROOT, "dist/bench/steeringPort.js");

export const CLUSTER = "bench";

export interface SteeringSettings {
  readonly backend: PortBackend;
  readonly nic: string;
  readonly outer: string;
  /** Of all flows: 1 is this node, 2 another one. */
  readonly authority: 1 | 2;
  /** Absent: authorities handle their flows, and nothing is remembered. */
  readonly room?: { readonly established_max: number; readonly opening_max: number };
  /** To whom this node assigns flows. Absent: to the node that got the first packet. */
  readonly assignTo?: 1 | 2;
}

export type SteeringCounts = Readonly<Record<string, number>>;

export class SteeringPort {
  readonly #helper: Helper;

  constructor(helper: Helper) {
    this.#helper = helper;
  }

  /** So far, by the names of native/steer/counters.def. */
  async counts(): Promise<SteeringCounts> {
    return JSON.parse(await this.#helper.ask("counts")) as SteeringCounts;
  }

  end(): Promise<void> {
    return this.#helper.end();
  }
}

export async function startSteeringPort(host: Host, settings: SteeringSettings): Promise<SteeringPort> {
  return new SteeringPort(await Helper.start(host, [process.execPath, PROGRAM, JSON.stringify(settings)]));
}

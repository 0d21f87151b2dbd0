// For how long did the lab's machine itself stand still? All gateways stand on it: where a CPU is taken away, by whoever runs this machine or by
// a kernel that does not let go of it, whatever ran there was dead to the others meanwhile.

import { cpus } from "node:os";
import { z } from "zod";
import { deriveTimers } from "../raincore/timers.js";
import type { Host } from "./host.js";
import { rounded } from "./statistics.js";
import { Tester } from "./tester.js";

const reportSchema = z.object({
  now_ms: z.number(),
  window_ms: z.number(),
  late_ms_max: z.number(),
  marks: z.record(z.string(), z.number()),
  /** The longest delays of the window. */
  delays: z.array(z.tuple([z.number(), z.number()])),
});

/** A time in which a CPU did nothing of what it was given. */
export interface Stop {
  readonly from_ms: number;
  readonly to_ms: number;
}

/** What happens between these times does not tell anything about the layer, and why. */
export interface Excuse {
  readonly from_ms: number;
  readonly to_ms: number;
  readonly why: string;
}

/** A member that was taken out because of a stop is back after such a time. */
const AFTERMATH_MS = 1000;

class CpuWatch extends Tester<z.infer<typeof reportSchema>> {
  constructor(host: Host, cpu: number) {
    super(host, ["standstill", "--cpu", String(cpu)], reportSchema);
  }
}

export class Standstill {
  readonly #watches: readonly CpuWatch[];

  /** @param host any: its network is not used */
  constructor(host: Host) {
    this.#watches = cpus().map((_, cpu) => new CpuWatch(host, cpu));
  }

  /** All stops of all CPUs since this was asked the last time; of very many the longest. */
  async take(): Promise<readonly Stop[]> {
    const reports = this.#watches.map((watch) => {
      const report = watch.report();
      watch.reset();
      return report;
    });
    return (await Promise.all(reports)).flatMap(({ delays }) => delays.map(([from_ms, to_ms]) => ({ from_ms, to_ms })));
  }
}

/** Of no stops: 0. */
export function longest_ms(stops: readonly Stop[]): number {
  return stops.reduce((longest, { from_ms, to_ms }) => Math.max(longest, to_ms - from_ms), 0);
}

/** What the stops excuse. Pure. */
export function excusesOf(stops: readonly Stop[], failoverTarget_ms: number): Excuse[] {
  return stops.flatMap((stop) => {
    const why = standstillExcuse(longest_ms([stop]), failoverTarget_ms);
    return why === undefined ? [] : [{ from_ms: stop.from_ms, to_ms: stop.to_ms + AFTERMATH_MS, why }];
  });
}

/**
 * Why it does not tell anything about the layer that a node which lives was taken for dead; undefined: it does. Half of what a hand-over waits
 * is the layer's own. Pure.
 */
export function standstillExcuse(stood_ms: number, failoverTarget_ms: number): string | undefined {
  const { handOverFail_ms } = deriveTimers(failoverTarget_ms);
  if (stood_ms < handOverFail_ms / 2) return undefined;
  return `the machine stood still for ${rounded(stood_ms)} ms, and a hand-over waits for ${rounded(handOverFail_ms)} ms`;
}

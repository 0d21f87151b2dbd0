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
});

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

  /** The longest time for which a CPU stood still, since this was asked the last time. */
  async take_ms(): Promise<number> {
    const reports = this.#watches.map((watch) => {
      const report = watch.report();
      watch.reset();
      return report;
    });
    return Math.max(...(await Promise.all(reports)).map(({ late_ms_max }) => late_ms_max));
  }
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

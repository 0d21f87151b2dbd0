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

/** What stood still since the beginning of a scenario, and what that excuses. */
export class Stops {
  readonly #standstill: Pick<Standstill, "take">;
  readonly #failoverTarget_ms: number;
  readonly #stops: Stop[] = [];

  private constructor(standstill: Pick<Standstill, "take">, failoverTarget_ms: number) {
    this.#standstill = standstill;
    this.#failoverTarget_ms = failoverTarget_ms;
  }

  static async since(standstill: Pick<Standstill, "take">, failoverTarget_ms: number): Promise<Stops> {
    await standstill.take();
    return new Stops(standstill, failoverTarget_ms);
  }

  /** The longest one since this was asked the last time. */
  async take_ms(): Promise<number> {
    const stops = await this.#standstill.take();
    this.#stops.push(...stops);
    return longestOf_ms(stops);
  }

  /** Of all that take_ms() was asked for. */
  get longest_ms(): number {
    return longestOf_ms(this.#stops);
  }

  /** What happened between these times may be a stop's doing, and that tells nothing about the layer; why. Undefined: it is the layer's. */
  excuseFor(from_ms: number, to_ms: number): string | undefined {
    const excusing = this.#stops.find(
      (stop) => stop.from_ms <= to_ms && stop.to_ms + AFTERMATH_MS >= from_ms && this.#why(stop),
    );
    return excusing === undefined ? undefined : this.#why(excusing);
  }

  #why(stop: Stop): string | undefined {
    return standstillExcuse(longestOf_ms([stop]), this.#failoverTarget_ms);
  }
}

function longestOf_ms(stops: readonly Stop[]): number {
  return stops.reduce((longest, { from_ms, to_ms }) => Math.max(longest, to_ms - from_ms), 0);
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

// The probes of a segment: pings every VIP 1,000 times a second and keeps the longest silence of each stream.

import { z } from "zod";
import type { Host } from "./host.js";
import { Tester } from "./tester.js";

const targetSchema = z.object({
  target: z.string(),
  /** The longest time between two answers in the window, one that still lasts included. */
  gap_ms: z.number(),
  gap_from_ms: z.number(),
  /** null: it still lasts. */
  gap_to_ms: z.number().nullable(),
  last_answer_ms: z.number(),
  sent: z.number(),
  received: z.number(),
  duplicates: z.number(),
  send_errors: z.number(),
  round_trip_ms_max: z.number(),
});

const reportSchema = z.object({
  now_ms: z.number(),
  window_ms: z.number(),
  /** The longest time for which the prober itself was kept from working. */
  late_ms_max: z.number(),
  marks: z.record(z.string(), z.number()),
  gap_ms: z.number(),
  targets: z.array(targetSchema),
});

export type ProbeReport = z.infer<typeof reportSchema>;
export type ProbedTarget = z.infer<typeof targetSchema>;

export class Prober extends Tester<ProbeReport> {
  constructor(host: Host, address: string, targets: readonly string[]) {
    super(host, ["probe", "--source-ip", address, "--targets", targets.join(",")], reportSchema);
  }
}

// The observer of a segment: which MACs answer for each VIP, asked again and again. See native/testhost/ownership.h for what
// counts as two owners, and as none.

import { z } from "zod";
import type { Host } from "./host.js";
import { Tester } from "./tester.js";

const vipSchema = z.object({
  vip: z.string(),
  double_owner_ms: z.number(),
  no_owner_ms: z.number(),
  longest_silence_ms: z.number(),
  asked: z.number(),
  answered: z.number(),
  /** Requests that two MACs answered; a fault only together with double_owner_ms. */
  contested: z.number(),
  /** Unasked announcements by MAC. */
  announcements: z.record(z.string(), z.number()),
  /** Runs of answers: the time in which this MAC is known to have owned the VIP. */
  owners: z.array(z.object({ mac: z.string(), from_ms: z.number(), to_ms: z.number(), answers: z.number() })),
});

export const ownershipSchema = z.object({
  double_owner_ms: z.number(),
  no_owner_ms: z.number(),
  contested: z.number(),
  vips: z.array(vipSchema),
});

const reportSchema = ownershipSchema.extend({
  now_ms: z.number(),
  window_ms: z.number(),
  /** The longest time for which the observer itself was kept from working. */
  late_ms_max: z.number(),
  marks: z.record(z.string(), z.number()),
  send_errors: z.number(),
  /** Questions that a node asked in a VIP's name: they would change neighbour caches. */
  leaks: z.number(),
});

export type OwnershipReport = z.infer<typeof ownershipSchema>;
export type ObserverReport = z.infer<typeof reportSchema>;

export class Observer extends Tester<ObserverReport> {
  constructor(host: Host, nic: string, address: string, vips: readonly string[]) {
    super(host, ["observe", "--interface", nic, "--source-ip", address, "--vips", vips.join(",")], reportSchema);
  }
}

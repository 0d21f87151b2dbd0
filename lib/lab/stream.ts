// A stream of numbered UDP packets through the layer and back: each that a gateway loses is told, with the time at which it was sent.

import { z } from "zod";
import type { Host } from "./host.js";
import { ECHO_PORT } from "./plan.js";
import { Tester } from "./tester.js";

const streamSchema = z.object({
  now_ms: z.number(),
  window_ms: z.number(),
  late_ms_max: z.number(),
  marks: z.record(z.string(), z.number()),
  /** Packets that have had the time to come back: what was sent in the last second is not judged. */
  sent: z.number(),
  lost: z.number(),
  received: z.number(),
  duplicates: z.number(),
  send_errors: z.number(),
  /** Packets that the rate asked for when the sender was kept from working. */
  unsent: z.number(),
  /** Lost by the sender's own sockets, for want of room. */
  overflow: z.number(),
  losses: z.array(z.object({ from_ms: z.number(), to_ms: z.number(), count: z.number() })),
});

const echoSchema = z.object({ now_ms: z.number(), echoed: z.number(), overflow: z.number() });

export type StreamReport = z.infer<typeof streamSchema>;

/** What a report does not judge yet. */
export const STREAM_PATIENCE_MS = 1000;

export interface StreamPlan {
  readonly sources: readonly string[];
  readonly targets: readonly string[];
  readonly flows: number;
  readonly packets_per_s: number;
}

export class Stream extends Tester<StreamReport> {
  constructor(host: Host, { sources, targets, flows, packets_per_s }: StreamPlan) {
    const ends = ["--source-ips", sources.join(","), "--targets", targets.join(","), "--port", String(ECHO_PORT)];
    super(host, ["stream", ...ends, "--flows", String(flows), "--pps", String(packets_per_s)], streamSchema);
  }
}

/** Sends the packets of streams back. */
export class Echo extends Tester<z.infer<typeof echoSchema>> {
  constructor(host: Host, address: string) {
    super(host, ["echo", "--address", address, "--port", String(ECHO_PORT)], echoSchema);
  }
}

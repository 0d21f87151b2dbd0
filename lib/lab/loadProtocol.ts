// What the lab and its load client (load.ts, a process in the client's namespace) say to each other, one JSON line each.

import { z } from "zod";

/** Source ports that the client takes in turn. */
export const FIRST_SOURCE_PORT = 1025;
export const LAST_SOURCE_PORT = 65_000;

export const loadCommandSchema = z.discriminatedUnion("do", [
  /** So many requests, no more than `concurrency` at once; fewer if very many fail. */
  z.object({ do: z.literal("count"), total: z.int(), concurrency: z.int() }),
  /** Requests at a steady rate, whether earlier ones are answered or not. */
  z.object({ do: z.literal("rate"), per_s: z.number() }),
  /** No new requests; answered by `idle` when the open ones have ended. */
  z.object({ do: z.literal("stop") }),
  /** Answered by `settled` as soon as no request has been open for longer than this, not counting what the client missed. */
  z.object({ do: z.literal("settle"), open_ms: z.number() }),
]);
export type LoadCommand = z.infer<typeof loadCommandSchema>;

export const requestResultSchema = z.object({
  source: z.string(),
  sourcePort: z.int(),
  target: z.string(),
  targetPort: z.int(),
  /** On the lab's clock, see waiting.ts. */
  begin_ms: z.number(),
  end_ms: z.number(),
  /** So much of that time the client itself was kept from working. */
  missed_ms: z.number(),
  /** Absent when it succeeded. */
  error: z.string().optional(),
});
export type RequestResult = z.infer<typeof requestResultSchema>;

export const loadEventSchema = z.union([
  z.object({ event: z.literal("result"), result: requestResultSchema }),
  z.object({ event: z.literal("idle") }),
  /** Every request that was begun before `since_ms` has ended. */
  z.object({ event: z.literal("settled"), since_ms: z.number() }),
]);
export type LoadEvent = z.infer<typeof loadEventSchema>;

/**
 * A lost first packet is sent again after one second: that request must still be able to succeed. What the client itself missed is
 * given in addition.
 */
export const REQUEST_TIMEOUT_MS = 2000;

// What the lab and the client that holds connections (held.ts) say to each other, one JSON line each.

import { z } from "zod";

/** A slow download, or a connection on which something is said now and then. */
const kindSchema = z.enum(["download", "idle"]);
export type HeldKind = z.infer<typeof kindSchema>;

export const heldCommandSchema = z.discriminatedUnion("do", [
  /** Answered by `open` when all are, or have failed. */
  z.object({ do: z.literal("open"), downloads: z.int(), idles: z.int() }),
  /** All come to their end; answered by `finished`. */
  z.object({ do: z.literal("finish"), patience_ms: z.number() }),
]);
export type HeldCommand = z.infer<typeof heldCommandSchema>;

const resultSchema = z.object({
  kind: kindSchema,
  source: z.string(),
  sourcePort: z.int(),
  target: z.string(),
  targetPort: z.int(),
  /** Absent when it came to its end, with the right content. */
  error: z.string().optional(),
});
export type HeldResult = z.infer<typeof resultSchema>;

export const heldEventSchema = z.discriminatedUnion("event", [
  z.object({ event: z.literal("open"), opened: z.int() }),
  z.object({ event: z.literal("finished"), results: z.array(resultSchema) }),
]);
export type HeldEvent = z.infer<typeof heldEventSchema>;

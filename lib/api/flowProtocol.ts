// What is said over the control socket, and by nodes to each other, about flows: who handles one and why, and which ones a node remembers. Used by both ends.

import { z } from "zod";
import { FLOW_TEXT_CHARS_MAX, formatFlow, parseFlow } from "../flows/flowText.js";
import type { KnownConnection, KnownFlow } from "../native.js";

/** Of one answer. */
export const FLOWS_MAX = 10_000;
export const FLOWS_DEFAULT = 100;

const node = z.int().min(1).max(0xffff);

/** In whichever spelling; `parseFlow` says better than a schema what is wrong. */
export const explainParams = z.strictObject({ flow: z.string().max(FLOW_TEXT_CHARS_MAX) });
export type ExplainParams = z.infer<typeof explainParams>;

export const flowsParams = z.strictObject({
  node: node.optional(),
  limit: z.int().min(0).max(FLOWS_MAX).default(FLOWS_DEFAULT),
});
export type FlowsParams = z.infer<typeof flowsParams>;

// Others' words end up on an operator's terminal.
const flowText = z
  .string()
  .max(FLOW_TEXT_CHARS_MAX)
  .regex(/^[ -~]*$/);

const connection = z.looseObject({
  original: flowText,
  reply: flowText,
  state: z.string().regex(/^\w{1,32}$/),
  isAssured: z.boolean(),
  timeout_s: z.number(),
});
export type ConnectionSight = Readonly<z.infer<typeof connection>>;

const known = z.looseObject({
  node: z.int().min(0).max(0xffff),
  epoch: z.number(),
  place: z.enum(["opening", "established"]),
  life: z.enum(["opening", "closing", "datagram", "stream"]),
  isHeld: z.boolean(),
  isAnswered: z.boolean(),
  isAlias: z.boolean(),
  isGuessed: z.boolean(),
  idle_ms: z.number(),
});
/** What a node's ports remember of a flow: see KnownFlow of lib/native.ts. */
export type KnownSight = Readonly<z.infer<typeof known>>;

/** What one node knows of a flow. */
export const flowSight = z.looseObject({
  knows: known.nullable(),
  connection: connection.nullable(),
  /** Kept for when the node that it is from is gone. */
  replica: z.looseObject({ from: node, connection }).nullable(),
  /** Why it could not look everywhere. */
  trouble: z
    .string()
    .max(512)
    .transform((text) => text.replaceAll(/\p{Cc}/gu, " "))
    .nullable(),
});
export type FlowSight = Readonly<z.infer<typeof flowSight>>;

const policy = z.enum(["authority", "receiver", "balanced"]);

export const explanation = z.looseObject({
  flow: flowText,
  policy,
  epoch: z.number(),
  slot: z.int().nullable(),
  authority: node.nullable(),
  handler: node.nullable(),
  why: z.string(),
  nodes: z.array(flowSight.extend({ node, name: z.string(), isReachable: z.boolean() })),
  /** The other name of a translated connection; `isFirst`: its first packets have that. */
  alias: z
    .looseObject({
      flow: flowText,
      isFirst: z.boolean(),
      slot: z.int().nullable(),
      authority: node.nullable(),
      knownBy: z.array(z.looseObject({ node, handler: z.int() })),
    })
    .nullable(),
  /** Null where no connection outlives its gateway, or nobody could take it. */
  backup: z.looseObject({ node, hasReplica: z.boolean() }).nullable(),
});
/** Who handles a flow, who knows so, and why. */
export type FlowExplanation = Readonly<z.infer<typeof explanation>>;
export type NodeSight = FlowExplanation["nodes"][number];

export const flowsResult = z.looseObject({
  node: z.looseObject({ id: z.int(), name: z.string() }),
  policy,
  names: z.record(z.string(), z.string()),
  /** How many this node remembers, by who handles them; 0: nobody did when all were asked. */
  counts: z.array(z.looseObject({ node: z.int(), flows: z.int() })),
  flows: z.array(known.extend({ flow: flowText })),
});
/** The flows that a node remembers, or some of them. */
export type FlowOverview = Readonly<z.infer<typeof flowsResult>>;

export function knownSight({ flow, ...rest }: KnownFlow): KnownSight & { readonly flow: string } {
  return { ...rest, flow: formatFlow(flow) };
}

export function connectionSight(known: KnownConnection): ConnectionSight {
  return { ...known, original: formatFlow(known.original), reply: formatFlow(known.reply) };
}

/** Of what another node said; undefined: it is not understood. */
export function readSight(text: string): FlowSight | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const sight = flowSight.safeParse(value);
  if (!sight.success) return undefined;
  const connections = [sight.data.connection, sight.data.replica?.connection];
  return connections.every((one) => one == null || (isFlow(one.original) && isFlow(one.reply)))
    ? sight.data
    : undefined;
}

function isFlow(text: string): boolean {
  try {
    parseFlow(text);
    return true;
  } catch {
    return false;
  }
}

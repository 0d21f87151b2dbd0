// What is said over the control socket: newline-delimited JSON, one request and one answer per line; only a connection
// that has a lock also hears events (lockProtocol.ts). Both ends check what they read against these schemas. Used by
// control.ts (the daemon's end) and controlClient.ts and lockClient.ts (the commands' end).

import { z } from "zod";
import { canonicalAddress } from "../config/address.js";
import {
  explainParams,
  explanation,
  type FlowExplanation,
  type FlowOverview,
  flowsParams,
  flowsResult,
} from "./flowProtocol.js";
import { type LockStatus, lockParams, lockResult, locksResult } from "./lockProtocol.js";

/** A request line may not be longer. */
export const REQUEST_BYTES_MAX = 64 * 1024;
/** An answer line may not be longer; a status with all VIPs and members is a tenth of it. */
export const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/** How long a daemon may be away by agreement: its start takes about a second. */
export const AWAY_MIN_MS = 1_000;
export const AWAY_MAX_MS = 60_000;

const id = z.union([z.int(), z.string().max(64)]);
const noParams = z.strictObject({}).default({});

export const requestSchema = z.discriminatedUnion("method", [
  z.strictObject({ id, method: z.literal("status"), params: noParams }),
  z.strictObject({
    id,
    method: z.literal("move"),
    params: z.strictObject({
      vip: z
        .string()
        .refine((text) => canonicalAddress(text) !== undefined, "not an address")
        .transform((text) => canonicalAddress(text) ?? text),
      node: z.int().min(1).max(0xffff),
    }),
  }),
  z.strictObject({
    id,
    method: z.literal("drain"),
    params: z.strictObject({ node: z.int().min(1).max(0xffff), isDraining: z.boolean() }),
  }),
  z.strictObject({ id, method: z.literal("flows"), params: flowsParams }),
  z.strictObject({ id, method: z.literal("explain"), params: explainParams }),
  z.strictObject({ id, method: z.literal("join"), params: noParams }),
  z.strictObject({ id, method: z.literal("reloadKeys"), params: noParams }),
  z.strictObject({ id, method: z.literal("down"), params: noParams }),
  z.strictObject({
    id,
    method: z.literal("away"),
    params: z.strictObject({ for_ms: z.int().min(AWAY_MIN_MS).max(AWAY_MAX_MS) }),
  }),
  z.strictObject({ id, method: z.literal("locks"), params: noParams }),
  z.strictObject({ id, method: z.literal("lock"), params: lockParams }),
  z.strictObject({ id, method: z.literal("unlock"), params: noParams }),
]);
export type ControlRequest = z.infer<typeof requestSchema>;
export type ControlMethod = ControlRequest["method"];
export type AwayParams = Extract<ControlRequest, { method: "away" }>["params"];
export type DrainParams = Extract<ControlRequest, { method: "drain" }>["params"];
export type MoveParams = Extract<ControlRequest, { method: "move" }>["params"];

const counters = z.record(z.string(), z.number());

// Loose: a command may talk to a daemon of a newer version that says more.
export const statusSchema = z.looseObject({
  version: z.string(),
  pid: z.int(),
  uptime_s: z.number(),
  backend: z.string(),
  cluster: z.string(),
  node: z.looseObject({ id: z.int(), name: z.string() }),
  state: z.enum(["joining", "member", "closed"]),
  epoch: z.number(),
  seq: z.number(),
  members: z.array(z.looseObject({ id: z.int(), name: z.string(), ready: z.boolean() })),
  lease: z.looseObject({ valid: z.boolean(), remaining_ms: z.number() }),
  paths: z.array(
    z.looseObject({
      nodeId: z.int(),
      path: z.int(),
      segment: z.string(),
      isUp: z.boolean(),
      roundTrip_ms: z.number().nullable(),
    }),
  ),
  quorum: z.looseObject({ policy: z.string(), quorate: z.boolean() }),
  bound_ms: z.number(),
  vips: z.array(
    z.looseObject({
      address: z.string(),
      segment: z.string(),
      currentHost: z.int(),
      preferredHost: z.int(),
      persistence: z.int(),
      answering: z.boolean(),
    }),
  ),
  ports: z.record(z.string(), counters),
  ring: counters,
  drains: z.array(z.looseObject({ node: z.int(), isDone: z.boolean() })).default([]),
  connections: counters.optional(),
  flows: counters.optional(),
});

/** What `status` answers. */
export interface GatewayStatus {
  readonly version: string;
  readonly pid: number;
  readonly uptime_s: number;
  readonly backend: string;
  readonly cluster: string;
  readonly node: { readonly id: number; readonly name: string };
  readonly state: "joining" | "member" | "closed";
  readonly epoch: number;
  readonly seq: number;
  readonly members: readonly { readonly id: number; readonly name: string; readonly ready: boolean }[];
  readonly lease: { readonly valid: boolean; readonly remaining_ms: number };
  /** To every other node, over every segment of the ring. */
  readonly paths: readonly {
    readonly nodeId: number;
    readonly path: number;
    readonly segment: string;
    /** Answers, as far as it was used. */
    readonly isUp: boolean;
    /** Smoothed; null until something was measured. */
    readonly roundTrip_ms: number | null;
  }[];
  /** Whether the group may serve, by its policy. */
  readonly quorum: { readonly policy: string; readonly quorate: boolean };
  /** The longest time a VIP is without an owner when its node dies. */
  readonly bound_ms: number;
  readonly vips: readonly VipStatus[];
  /** Counters of the data plane by segment. */
  readonly ports: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Counters of the ring. */
  readonly ring: Readonly<Record<string, number>>;
  /** Nodes that are to have no part in the traffic; done: they have nothing left that others could take. */
  readonly drains: readonly { readonly node: number; readonly isDone: boolean }[];
  /** Counters of the connections that outlive their gateway; absent where they do not. */
  readonly connections?: Readonly<Record<string, number>> | undefined;
  /** What this node and the others have said to each other of flows; absent where their authorities handle them. */
  readonly flows?: Readonly<Record<string, number>> | undefined;
}

export interface VipStatus {
  readonly address: string;
  readonly segment: string;
  /** nodeId, 0 while nobody owns it. */
  readonly currentHost: number;
  readonly preferredHost: number;
  readonly persistence: number;
  /** This node answers for it now. */
  readonly answering: boolean;
}

/** What each method answers. */
export interface ControlResults {
  readonly status: GatewayStatus;
  readonly move: Record<string, never>;
  /** Asked for: see `drains` of the status for when it is done. */
  readonly drain: Record<string, never>;
  readonly flows: FlowOverview;
  readonly explain: FlowExplanation;
  readonly join: Record<string, never>;
  /** How many keys are in force. */
  readonly reloadKeys: { readonly keys: number };
  readonly down: { readonly pid: number };
  readonly away: { readonly pid: number };
  readonly locks: { readonly locks: readonly LockStatus[] };
  /** Once it is granted; the connection has the lock then. */
  readonly lock: { readonly name: string; readonly fence: string };
  readonly unlock: Record<string, never>;
}

export const resultSchemas: { readonly [M in ControlMethod]: z.ZodType<ControlResults[M]> } = {
  status: statusSchema,
  move: z.record(z.string(), z.never()),
  drain: z.record(z.string(), z.never()),
  flows: flowsResult,
  explain: explanation,
  join: z.record(z.string(), z.never()),
  reloadKeys: z.looseObject({ keys: z.int() }),
  down: z.looseObject({ pid: z.int() }),
  away: z.looseObject({ pid: z.int() }),
  locks: locksResult,
  lock: lockResult,
  unlock: z.record(z.string(), z.never()),
};

export const answerSchema = z.union([
  z.looseObject({ id: id.nullable(), result: z.unknown() }).refine((answer) => "result" in answer),
  z.looseObject({
    id: id.nullable(),
    error: z.looseObject({ code: z.string(), message: z.string(), fix: z.string().optional() }),
  }),
]);

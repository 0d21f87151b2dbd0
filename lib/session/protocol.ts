// What the host thread and the ring's thread say to each other. Used by raincore.ts (the host's end) and worker.ts (the ring's end).
import type { Guarantee, Outcome } from "../raincore/multicast/multicast.js";
import type { QuorumPolicy, RaincoreState, RaincoreStatus, View } from "../raincore/types.js";

export type { Guarantee, Outcome } from "../raincore/multicast/multicast.js";

/** One other node: its addresses in the order of the paths. */
export interface PeerOptions {
  readonly nodeId: number;
  readonly addresses: readonly string[];
}

/** Everything the ring's thread needs; plain data. */
export interface SessionConfig {
  readonly cluster: string;
  readonly clusterKeys: readonly Uint8Array[];
  readonly nodeId: number;
  /** Own addresses in the order of the paths. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly peers: readonly PeerOptions[];
  readonly failoverTarget_ms: number;
  readonly quorum: QuorumPolicy;
  readonly rejoin: boolean;
  readonly startupWait_ms: number | undefined;
  readonly realtime: "off" | "ring" | "process";
  readonly rehearsal: boolean;
  readonly multicastQueueBytes_max: number;
  readonly eventBytes_max: number;
  readonly plugin: { readonly module: string; readonly data: unknown } | undefined;
}

/** A multicast message as it is delivered. */
export interface Delivered {
  readonly from: number;
  /** The view in which it was put on the token. */
  readonly epoch: number;
  readonly origin: number;
  readonly bytes: Uint8Array;
}

/** From the host; `id` is the host's, echoed in the answer. */
export type SessionRequest =
  | { readonly type: "multicast"; readonly id: number; readonly bytes: Uint8Array; readonly guarantee: Guarantee }
  | { readonly type: "send"; readonly id: number; readonly to: number; readonly bytes: Uint8Array }
  | {
      readonly type: "acquire";
      readonly id: number;
      readonly name: string;
      readonly client: string;
      readonly wait_ms: number | undefined;
      readonly ttl_ms: number | undefined;
    }
  | { readonly type: "release"; readonly id: number }
  | {
      readonly type: "update";
      readonly id: number;
      readonly name: string;
      readonly ifVersion: number;
      readonly bytes: Uint8Array | undefined;
      /** In which the program was told of `ifVersion`; of no meaning where that is 0. */
      readonly membership: number;
    }
  | { readonly type: "ask"; readonly id: number; readonly what: "stats" | "locks" }
  | { readonly type: "call"; readonly id: number; readonly method: string; readonly params: unknown }
  | { readonly type: "setKeys"; readonly id: number; readonly keys: readonly Uint8Array[] }
  | { readonly type: "join" }
  | { readonly type: "leave" }
  | { readonly type: "close" };

/** As requests are posted: see requestQueue.ts. */
export type PostedRequest =
  | Exclude<SessionRequest, { readonly type: "multicast" }>
  | { readonly type: "multicasts"; readonly heads: Float64Array; readonly bytes: Uint8Array };

export interface CodedError {
  readonly code: string;
  readonly message: string;
  readonly fix: string | undefined;
}

/** From the ring's thread, in the order in which it happened. */
export type SessionEvent =
  | { readonly type: "open" }
  /** It could not start, or broke down: nothing follows. */
  | { readonly type: "failed"; readonly error: CodedError }
  | { readonly type: "state"; readonly state: RaincoreState }
  | { readonly type: "view"; readonly view: View }
  | { readonly type: "lease"; readonly valid: boolean }
  | ({ readonly type: "delivery" } & Delivered)
  | { readonly type: "message"; readonly from: number; readonly bytes: Uint8Array }
  | { readonly type: "settled"; readonly id: number; readonly outcome: Outcome }
  | { readonly type: "granted"; readonly id: number; readonly name: string; readonly fence: bigint }
  /** The end of it: nothing is left to be released. */
  | { readonly type: "lost"; readonly id: number; readonly reason: string }
  | { readonly type: "released"; readonly id: number }
  | { readonly type: "refused"; readonly id: number; readonly error: CodedError }
  | {
      readonly type: "carriage";
      readonly name: string;
      readonly version: number;
      readonly bytes: Uint8Array | undefined;
      /** Versions are those of one membership; they are numbered from 1. */
      readonly membership: number;
    }
  | { readonly type: "answer"; readonly id: number; readonly result: unknown }
  | { readonly type: "plugin"; readonly event: unknown }
  | {
      readonly type: "log";
      readonly level: "debug" | "info" | "warn";
      readonly code: string;
      readonly fields: Record<string, unknown>;
    };

/** As events are posted: see eventQueue.ts. */
export type PostedEvent =
  | Exclude<SessionEvent, { readonly type: "delivery" }>
  | { readonly type: "deliveries"; readonly heads: Float64Array; readonly bytes: Uint8Array };

/** What goes to the host in one message. */
export interface PostedEvents {
  readonly events: readonly PostedEvent[];
  /** What they take while they wait, about: see backlog.ts. */
  readonly bytes: number;
}

/** What the ring's thread is started with. */
export interface WorkerData {
  readonly config: SessionConfig;
  readonly backlog: SharedArrayBuffer;
}

/** One lock of the group, as the token showed it last. */
export interface LockDescription {
  readonly name: string;
  /** nodeId; 0 while nobody has it. */
  readonly holder: number;
  readonly fence: bigint;
  /** nodeIds, the next one first. */
  readonly waiters: readonly number[];
  /** The holder's name for itself, if it is a client of this node. */
  readonly client: string | undefined;
}

/** The ring's status, with what its network and its services counted; docs/counters.md explains the names. */
export interface SessionStats extends RaincoreStatus {
  readonly now_ms: number;
  /** Datagrams and what was refused of them, by cause. */
  readonly network: Readonly<Record<string, number>>;
  readonly multicast: Readonly<Record<string, number>>;
  readonly locks: Readonly<Record<string, number>>;
  /** How late this thread ran after what it had asked for, at most, since the last question. */
  readonly lateness_ms_max: number;
}

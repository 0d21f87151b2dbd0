// What a simulated node is made of, and what it tells the world that it is in. Used by node.ts and world.ts.
import type { Timers } from "../../lib/raincore/timers.js";
import type { Effect, TokenModule } from "../../lib/raincore/types.js";
import type { VipConfig } from "../../lib/vip/vipTable.js";
import type { Departure } from "./away.js";
import type { Datagram } from "./network.js";
import type { SimNode } from "./node.js";
import type { Quorum } from "./plan.js";

/** In a loud ring every hand-over is answered; in a calm one every member may have passed the token on and not know what became of it. */
export const CALM_ROUNDS_OF = { loud: Number.MAX_SAFE_INTEGER, calm: 2 } as const;
export type RingKind = keyof typeof CALM_ROUNDS_OF;
export const RING_KINDS: readonly RingKind[] = ["loud", "calm"];

export interface NodeOptions {
  readonly nodeId: number;
  readonly peerIds: readonly number[];
  readonly timers: Timers;
  readonly startupWait_ms: number;
  readonly vips: readonly VipConfig[];
  readonly quorum: Quorum;
  readonly packetBytes_max: number;
  /** After so many rounds without trouble, idle tokens are handed over quietly. */
  readonly calmRounds: number;
  /** How fast this node's clock runs; 1 is true time. */
  readonly clockRate: number;
  readonly clockOffset_ms: number;
  /** Latest that the process runs after its timer was due. */
  readonly timerLateness_ms: number;
  /** Its first sequence numbers are about to wrap. */
  readonly nearWrap: boolean;
  /** Its datagrams go through the secure channel. */
  readonly isSealed: boolean;
  /** Planned absences are part of the run; without them the token is what it was before there were any. */
  readonly mayBeAway: boolean;
}

export interface NodeHooks {
  readonly send: (datagram: Datagram) => void;
  /** The services besides the VIP table, made anew for every life. */
  readonly modulesOf: (node: SimNode) => readonly TokenModule[];
  readonly effect: (node: SimNode, effect: Effect) => void;
  /** The secure channel has let a datagram through. */
  readonly opened: (node: SimNode, datagram: Datagram) => void;
  /** A new life begins. */
  readonly began: (node: SimNode) => void;
  /** All others have agreed that it is away: its data plane goes on alone. */
  readonly wentAway: (node: SimNode, departure: Departure) => void;
  /** After every call into the core. */
  readonly stepped: (node: SimNode, step: Step) => void;
  /** For people; undefined while nobody reads. */
  readonly tracer: () => ((node: number, line: string, now_ms: number) => void) | undefined;
}

export type Step = "start" | "crash" | "leave" | "receive" | "tick" | "wake" | "send" | "refused" | "suspect";

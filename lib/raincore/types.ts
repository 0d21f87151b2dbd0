// The vocabulary that the ring's core shares with whoever drives it: the daemon, the simulator and tests.
// Nothing here has behaviour.
import type { Timers } from "./timers.js";
import type { PathStatus } from "./transport/paths.js";

/** A configured node and the number of ways to reach it; path index = order of the ring's segments. */
export interface PeerAddress {
  readonly nodeId: number;
  readonly paths: number;
}

/** Who this node is, whom it can reach, and what travels on its token. */
export interface RaincoreConfig {
  readonly cluster: string;
  /** 1..65535 */
  readonly nodeId: number;
  /** Another one at every start of the process, and greater but where a clock was set back; tells the others that an earlier life's state is gone. */
  readonly incarnation: bigint;
  /** All configured nodes but this one. */
  readonly peers: readonly PeerAddress[];
  readonly timers: Timers;
  /**
   * How long to look for others before forming a group; default 1500, never less than `startupWaitMin_ms` of the timers. Who was stopped meanwhile
   * looks for so long as the timers say from when it woke, if that is later.
   */
  readonly startupWait_ms?: number;
  /**
   * Epochs made here are greater. Given something that grows over restarts (seconds since 1970), epochs and fencing numbers grow even when
   * all nodes start anew. Default 0.
   */
  readonly epochFloor?: number;
  /** Which groups may serve; default `available`. */
  readonly quorum?: QuorumPolicy;
  /** Ask for a place again after membership was lost; default true. Without it the node is closed, until `join`. */
  readonly rejoin?: boolean;
  /** After so many rounds without any loss, idle tokens are handed over without an answer; default 32. */
  readonly calmRounds?: number;
  /** The largest plaintext of one datagram, in bytes; default 1400. */
  readonly packetBytes_max?: number;
  readonly modules: readonly TokenModule[];
}

/**
 * `available`: every group serves, also both halves of a split cluster (as in the original). `majority`: only a group with more than half
 * of the configured nodes serves, or with exactly half and the tie-breaker among them.
 */
export type QuorumPolicy =
  | { readonly policy: "available" }
  | { readonly policy: "majority" /** A nodeId. */; readonly tieBreaker: number };

/** The only way in which chance reaches the core. */
export interface RaincoreEnv {
  /** Uniform in [0, 1). */
  random(): number;
}

/** One life of a node, as a member of a view. */
export interface Member {
  readonly nodeId: number;
  readonly incarnation: bigint;
  /** Has had a valid lease since it came in; only ready members get VIPs and steering slots. */
  readonly ready: boolean;
}

/** An agreed member list, in ring order. */
export interface View {
  readonly epoch: number;
  /** Who made this epoch: two nodes that make the same number at the same time still make different views. */
  readonly origin: number;
  readonly members: readonly Member[];
  readonly self: number;
  /** May serve, by the quorum policy. */
  readonly quorate: boolean;
}

/** `closed`: out, until `join`. */
export type RaincoreState = "joining" | "member" | "closed";

/** What the core wants done; apply them in order. */
export type Effect =
  /** A plaintext message; the secure channel seals it. */
  | { readonly type: "send"; readonly to: number; readonly path: number; readonly bytes: Uint8Array }
  /** This node does not answer. If the host can find out that no process has its port there, it says so by `refused`. */
  | { readonly type: "probe"; readonly to: number; readonly path: number }
  | { readonly type: "view"; readonly view: View }
  /** The right to answer ends at `until_ms` of the own clock; 0 = void now. */
  | { readonly type: "lease"; readonly until_ms: number }
  | { readonly type: "state"; readonly state: RaincoreState }
  /** A reliable message came, whole. */
  | { readonly type: "message"; readonly from: number; readonly bytes: Uint8Array }
  /** What became of a message that this node sent; `bytes` is the original. */
  | {
      readonly type: "settled";
      readonly id: number;
      readonly to: number;
      readonly delivered: boolean;
      readonly bytes: Uint8Array;
    }
  | {
      readonly type: "log";
      readonly level: "debug" | "info" | "warn";
      readonly code: string;
      readonly fields: Record<string, unknown>;
    };

/** A member that was taken out of the view, and when (own clock) its lease has run out for certain. */
export interface Removed {
  readonly nodeId: number;
  readonly leaseEnd_ms: number;
}

/** What a module may know and do while its node holds the token. */
export interface TokenContext {
  readonly now_ms: number;
  readonly self: number;
  readonly view: View;
  /** The token has made a whole round in this view, so every member knows of it, and any later view that shares a member has a greater epoch. */
  readonly confirmed: boolean;
  readonly tokenReceived_ms: number;
  readonly removed: readonly Removed[];
  /** There was a view that was not quorate, in which this carriage's module was called nowhere: whatever holds in such a view held meanwhile. */
  readonly missedQuorum: boolean;
  /** Members that are known to have no part in this carriage, for want of its module or of its format: nothing may wait for them. */
  readonly lacking: ReadonlySet<number>;
  /** This node leaves: it must give everything away now. */
  readonly leaving: boolean;
  /** There is news in a carriage: the token makes one round without rest. */
  readonly hasten: () => void;
  /** L: how long a lease can last at most, for waits whose start is not known better. */
  readonly lease_ms: number;
  /** The own lease is valid now. */
  readonly leaseValid: boolean;
  /** Without a lease: nodes outside of the view may answer for what is this node's, for another L at most. */
  readonly mayBeServedOutside: boolean;
}

/** A service that travels on the token. Must not block. */
export interface TokenModule {
  /** The carriage's name on the token, unique: 1 to 32 of `a-z 0-9 . -`. */
  readonly carriage: string;
  /** The layout that this module writes, 0 to 255. A carriage of a newer one is carried on untouched; the module does not see it. */
  readonly format: number;
  /** The largest carriage that `onToken` may return. The module is called only if there is room for it on the token. */
  readonly bytesMax: number;
  /**
   * The token is here; called again in the same visit when the view changes or `wake` was called. Returns the carriage to send on: the same
   * bytes object = unchanged, undefined = none. Never more than `bytesMax`: that is refused, and what the module has acted on by then is
   * not on the token, where nobody else knows of it.
   */
  onToken(ctx: TokenContext, bytes: Uint8Array | undefined): Uint8Array | undefined;
  /**
   * The token is here, but has no room for `bytesMax`, because of carriages that this node has no module for: `onToken` is not called, and the
   * carriage (`bytes`) stays as it is. The module begins nothing, and ends what this carriage or the view does not allow any more. What it
   * is not told of now (`removed`, views that are not quorate) is told to the first module of this kind that is called again, on any node.
   */
  onPassedBy?(ctx: TokenContext, bytes: Uint8Array | undefined): void;
  /**
   * The token is here, and the carriage is of a newer format. When that was first seen, `onLost` was called; this is called at every visit, so
   * that whatever is asked of the module is refused, and does not wait until this node is upgraded.
   */
  onOutdated?(ctx: TokenContext): void;
  /** True: a visit with the carriage as it left the last one, in the same view, would change nothing and tell nobody anything. Absent: false. */
  readonly isIdle?: boolean;
  /** This node is no longer in the group. */
  onLost(now_ms: number): void;
  /** The own lease now runs until then (own clock); 0 = void. */
  onLease?(until_ms: number, now_ms: number): void;
  /** When to call `onTick` (own clock); Infinity or absent: never. */
  readonly deadline_ms?: number;
  onTick?(now_ms: number): void;
}

/** Of a node's status, what costs nothing. */
export interface RaincorePlace {
  readonly state: RaincoreState;
  readonly epoch: number;
  readonly origin: number;
  readonly seq: number;
  /** Holds the token and has not begun to hand it over. */
  readonly holding: boolean;
}

/** The ring as this node sees it now; times by its own clock. */
export interface RaincoreStatus extends RaincorePlace {
  readonly members: readonly Member[];
  readonly quorate: boolean;
  readonly leaseUntil_ms: number;
  readonly counters: Readonly<Record<string, number>>;
  /** The ways to every node that this one has sent something. */
  readonly paths: readonly PathStatus[];
}

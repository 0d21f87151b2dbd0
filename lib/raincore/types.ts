// The vocabulary that the ring's core shares with whoever drives it: the daemon, the simulator and tests.
// Nothing here has behaviour.
import type { Timers } from "./timers.js";

/** A configured node and the number of ways to reach it; path index = order of the ring's segments. */
export interface PeerAddress {
  readonly nodeId: number;
  readonly paths: number;
}

export interface RaincoreConfig {
  readonly cluster: string;
  /** 1..65535 */
  readonly nodeId: number;
  /** Greater at every start of the process; tells the others that an earlier life's state is gone. */
  readonly incarnation: bigint;
  /** All configured nodes but this one. */
  readonly peers: readonly PeerAddress[];
  readonly timers: Timers;
  /** How long to look for others before forming a group; default 1500, never less than one lease. */
  readonly startupWait_ms?: number;
  readonly modules: readonly TokenModule[];
}

/** The only way in which chance reaches the core. */
export interface RaincoreEnv {
  /** Uniform in [0, 1). */
  random(): number;
}

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
}

export type RaincoreState = "joining" | "member" | "closed";

/** What the core wants done; apply them in order. */
export type Effect =
  /** A plaintext message; the secure channel seals it. */
  | { readonly type: "send"; readonly to: number; readonly path: number; readonly bytes: Uint8Array }
  | { readonly type: "view"; readonly view: View }
  /** The right to answer ends at `until_ms` of the own clock; 0 = void now. */
  | { readonly type: "lease"; readonly until_ms: number }
  | { readonly type: "state"; readonly state: RaincoreState }
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

export interface TokenContext {
  readonly now_ms: number;
  readonly self: number;
  readonly view: View;
  readonly tokenReceived_ms: number;
  readonly removed: readonly Removed[];
  /** This node leaves: it must give everything away now. */
  readonly leaving: boolean;
  /** There is news in a carriage: the token makes one round without rest. */
  readonly hasten: () => void;
  /** L: how long a lease can last at most, for waits whose start is not known better. */
  readonly lease_ms: number;
}

/** A service that travels on the token. Must not block; may be called several times while the token is held. */
export interface TokenModule {
  /** u16, unique among the modules. */
  readonly carriageType: number;
  /** Called while holding the token; returns the carriage to send on (the same bytes object = unchanged). */
  onToken(ctx: TokenContext, bytes: Uint8Array | undefined): Uint8Array;
  /** We are no longer in the group. */
  onLost(now_ms: number): void;
}

export interface RaincoreStatus {
  readonly state: RaincoreState;
  readonly epoch: number;
  readonly origin: number;
  readonly seq: number;
  readonly members: readonly Member[];
  /** Holds the token and has not begun to hand it over. */
  readonly holding: boolean;
  readonly leaseUntil_ms: number;
  readonly counters: Readonly<Record<string, number>>;
}

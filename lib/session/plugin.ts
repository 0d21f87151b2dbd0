// A plugin is code that must see the ring at once, and so runs in its thread: a gateway's VIP table and data plane. The module that the
// options name exports `createPlugin`. It must never block: while it works, the token waits.
import type { RaincoreState, RaincoreStatus, TokenModule, View } from "../raincore/types.js";

/** What a plugin may ask of the ring's thread. */
export interface PluginHost {
  /** The clock of the ring (and of leases), milliseconds. */
  now_ms(): number;
  /** A module of the plugin has work: the token is called for. */
  wake(): void;
  status(): RaincoreStatus;
  /** Datagrams and what was refused of them, by cause. */
  networkCounters(): Readonly<Record<string, number>>;
  /** A reliable message to another node's plugin, which may be lost with that node. Throws `RF_NODE_UNKNOWN`. */
  send(nodeId: number, bytes: Uint8Array): void;
  /** Nodes whose datagrams do not open, though none of theirs ever did. */
  suspectedKeyMismatch(): readonly number[];
  /** To the host's thread: its `plugin` event. Plain data. */
  emit(event: unknown): void;
  log(level: "debug" | "info" | "warn", code: string, fields: Record<string, unknown>): void;
}

/** What `createPlugin` returns: modules for the token, and call-backs. None may block; the token waits meanwhile. */
export interface SessionPlugin {
  readonly modules: readonly TokenModule[];
  onView?(view: View): void;
  onLease?(until_ms: number): void;
  onState?(state: RaincoreState): void;
  /** A direct message. True: it is the plugin's, and the host does not get it. */
  onMessage?(from: number, bytes: Uint8Array): boolean;
  /** Answers `Raincore.call`; what it throws, the caller gets. */
  call?(method: string, params: unknown): unknown;
  close?(): void;
}

/** The function that a plugin's module exports as `createPlugin`. What it throws, `Raincore.start` rejects with. */
export type CreatePlugin = (host: PluginHost, data: unknown) => SessionPlugin | Promise<SessionPlugin>;

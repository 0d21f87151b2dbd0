// What a program says to start a Raincore, checked and completed. Used by raincore.ts.
import { isIPv4 } from "node:net";
import { RainfrontError } from "../errors.js";
import { deriveTimers, FAILOVER_TARGET_DEFAULT_MS } from "../raincore/timers.js";
import { MEMBERS_MAX } from "../raincore/token.js";
import type { QuorumPolicy } from "../raincore/types.js";
import { BACKLOG_BYTES_MAX } from "./backlog.js";
import type { PeerOptions, SessionConfig } from "./protocol.js";

const PORT_DEFAULT = 7911;
const KEY_BYTES = 32;
const KEYS_MAX = 3;
const PATHS_MAX = 8;
/** So that the largest message has room. */
const QUEUE_BYTES_DEFAULT = 16 * 1024 * 1024;
/** A few of the largest messages. */
const EVENT_BYTES_DEFAULT = 64 * 1024 * 1024;

/** What `Raincore.start` is told. `cluster`, the key, the nodes, `port`, `failoverTarget_ms` and `quorum` are the same on all nodes. */
export interface RaincoreOptions {
  /** 1 to 32 characters of `a-z 0-9 -`. Datagrams of other clusters are ignored. */
  readonly cluster: string;
  /** 32 bytes; while the key is changed, up to three, of which the first seals and all open. The same on all nodes. */
  readonly clusterKey: Uint8Array | readonly Uint8Array[];
  /** 1 to 65535, this node's. */
  readonly nodeId: number;
  /** This node's IPv4 addresses, one per path; all nodes list their paths in the same order. */
  readonly addresses: readonly string[];
  /** All other nodes, each with as many addresses as this one. */
  readonly peers: readonly PeerOptions[];
  /** UDP and TCP port, the same on all nodes; default 7911. */
  readonly port?: number;
  /** The longest time until a dead node's work can be somebody else's; every timer derives from it. Default 150. */
  readonly failoverTarget_ms?: number;
  /** Which groups may serve when the nodes cannot all hear each other; default `{ policy: "available" }`. */
  readonly quorum?: QuorumPolicy;
  /** Ask for a place again when membership is lost; default true. */
  readonly rejoin?: boolean;
  /** How long to look for others before forming a group alone; default 1500. */
  readonly startupWait_ms?: number;
  /**
   * Real-time priority, where the process may have it: for the `ring`'s thread and what it depends on (default), also for the main thread
   * (`process`: for programs that do little else), or `off`.
   */
  readonly realtime?: "off" | "ring" | "process";
  /** Play some thousand rounds in memory first, so that the code is compiled when the ring begins; default true. Takes half a second. */
  readonly rehearsal?: boolean;
  /** Multicast messages that are not settled may take so much together, and none may be larger; default 16 MiB. */
  readonly multicastQueueBytes_max?: number;
  /**
   * Events may take so much while they wait for the main thread; with more, this Raincore ends with `RF_HOST_SLOW`, so that a program that
   * stands still costs its group a node, not its machine the memory. One event alone (a message, an answer of the plugin) must be smaller. Default
   * 64 MiB.
   */
  readonly eventBytes_max?: number;
  /** Code that runs in the ring's thread; see SessionPlugin. `module` is a file URL or an absolute path. */
  readonly plugin?: { readonly module: string; readonly data: unknown };
}

/** Throws `RF_ARGUMENT` (or `RF_CONFIG_FAILOVER_TARGET`) that names the option. */
export function completeOptions(options: RaincoreOptions): SessionConfig {
  const { cluster, nodeId, addresses, peers, failoverTarget_ms = FAILOVER_TARGET_DEFAULT_MS } = options;
  requireThat(/^[a-z0-9-]{1,32}$/.test(cluster), "cluster", "1 to 32 characters of a-z, 0-9 and -");
  const clusterKeys = completeKeys(options.clusterKey);
  requireNode(nodeId, "nodeId");
  requireAddresses(addresses, "addresses");
  requireThat(peers.length < MEMBERS_MAX, "peers", `at most ${MEMBERS_MAX - 1} nodes`);
  for (const [index, peer] of peers.entries()) checkPeer(peer, index, addresses.length);
  const ids = [nodeId, ...peers.map((peer) => peer.nodeId)];
  requireThat(new Set(ids).size === ids.length, "peers", "nodes with a nodeId of their own each");
  const port = options.port ?? PORT_DEFAULT;
  requireThat(Number.isInteger(port) && port >= 1 && port <= 0xffff, "port", "a UDP port, 1 to 65535");
  deriveTimers(failoverTarget_ms, ids.length);
  const quorum = options.quorum ?? { policy: "available" };
  checkQuorum(quorum, ids);
  const queueBytes = options.multicastQueueBytes_max ?? QUEUE_BYTES_DEFAULT;
  requireThat(
    Number.isInteger(queueBytes) && queueBytes >= 1024,
    "multicastQueueBytes_max",
    "a whole number, 1024 or more",
  );
  const eventBytes = options.eventBytes_max ?? EVENT_BYTES_DEFAULT;
  requireThat(
    Number.isInteger(eventBytes) && eventBytes >= 64 * 1024 && eventBytes <= BACKLOG_BYTES_MAX,
    "eventBytes_max",
    `a whole number, 65536 to ${BACKLOG_BYTES_MAX}`,
  );
  const { startupWait_ms } = options;
  requireThat(startupWait_ms === undefined || startupWait_ms >= 0, "startupWait_ms", "milliseconds, 0 or more");
  return {
    cluster,
    clusterKeys,
    nodeId,
    addresses: [...addresses],
    port,
    peers: peers.map((peer) => ({ nodeId: peer.nodeId, addresses: [...peer.addresses] })),
    failoverTarget_ms,
    quorum,
    rejoin: options.rejoin ?? true,
    startupWait_ms,
    realtime: options.realtime ?? "ring",
    rehearsal: options.rehearsal ?? true,
    multicastQueueBytes_max: queueBytes,
    eventBytes_max: eventBytes,
    plugin: options.plugin,
  };
}

/** Throws `RF_ARGUMENT`. */
export function completeKeys(given: Uint8Array | readonly Uint8Array[]): Uint8Array[] {
  const keys = given instanceof Uint8Array ? [given] : [...given];
  const isRight = keys.length >= 1 && keys.length <= KEYS_MAX && keys.every((key) => key.length === KEY_BYTES);
  requireThat(isRight, "clusterKey", `a key of ${KEY_BYTES} bytes, or 1 to ${KEYS_MAX} of them`);
  return keys.map((key) => Uint8Array.from(key));
}

function checkPeer(peer: PeerOptions, index: number, paths: number): void {
  requireNode(peer.nodeId, `peers[${index}].nodeId`);
  requireAddresses(peer.addresses, `peers[${index}].addresses`);
  requireThat(
    peer.addresses.length === paths,
    `peers[${index}].addresses`,
    `${paths} addresses, as many as this node has`,
  );
}

function checkQuorum(quorum: QuorumPolicy, ids: readonly number[]): void {
  switch (quorum.policy) {
    case "available":
      return;
    case "majority":
      requireThat(ids.includes(quorum.tieBreaker), "quorum.tieBreaker", `one of the nodes ${ids.join(", ")}`);
      return;
    default:
      quorum satisfies never;
      requireThat(false, "quorum.policy", "available or majority");
  }
}

function requireNode(value: number, name: string): void {
  requireThat(Number.isInteger(value) && value >= 1 && value <= 0xffff, name, "a whole number, 1 to 65535");
}

function requireAddresses(addresses: readonly string[], name: string): void {
  const isRight =
    addresses.length >= 1 && addresses.length <= PATHS_MAX && addresses.every((address) => isIPv4(address));
  requireThat(isRight, name, `1 to ${PATHS_MAX} IPv4 addresses`);
}

function requireThat(holds: boolean, name: string, wanted: string): void {
  if (!holds) throw new RainfrontError("RF_ARGUMENT", `${name} is not ${wanted}`, { fix: `give ${name} as ${wanted}` });
}

// The configuration as the rest of the program sees it: checked, complete, read-only. Made only by load.ts; read by the
// daemon. What an operator writes (and may leave out) is described by schema.ts.

import type { Timers } from "../raincore/timers.js";
import type { QuorumPolicy } from "../raincore/types.js";
import type { PortRange } from "../steering/portRanges.js";
import type { VipConfig } from "../vip/policy.js";

/** The Ethernet broadcast domains a gateway stands between. */
export const SEGMENT_NAMES = ["external", "internal"] as const;
export type SegmentName = (typeof SEGMENT_NAMES)[number];

/** Ways to get at frames. More will follow; each must pass the same tests. */
export const BACKENDS = ["auto", "xdp", "af_packet"] as const;
export type Backend = (typeof BACKENDS)[number];

/** Who handles a flow: its authority, or whom that one gives it to. */
export const ASSIGNMENTS = ["authority", "receiver", "balanced"] as const;
export type Assignment = (typeof ASSIGNMENTS)[number];

/** Which flows go to one node together. */
export const STICKINESS = ["none", "client"] as const;
export type Stickiness = (typeof STICKINESS)[number];

/** Which groups may serve; see QuorumPolicy. */
export const QUORUM_NAMES = ["available", "majority"] as const;

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Bounds that the token and the tables are sized for. */
export { MEMBERS_MAX as MAX_NODES } from "../raincore/token.js";
/** Of flows that are given by weight. */
export const NODE_WEIGHT_MAX = 100;
export { TABLE_BYTES_MAX, VIPS_MAX as MAX_VIPS } from "../vip/codec.js";

/** Of the data plane: native/steer/port_ranges.h and service.h. */
export const PORT_RANGES_MAX = 16;
export const SERVICES_MAX = 256;
export const SERVICE_PROTOCOLS = ["tcp", "udp"] as const;

/** While the key is changed, old and new are both accepted. */
export const KEYS_MAX = 3;

/** One gateway machine. */
export interface NodeConfig {
  readonly id: number;
  readonly name: string;
  /** Primary address on each segment. */
  readonly addresses: Readonly<Record<SegmentName, string>>;
  /** Its share of the flows that are given by weight, next to the others': 1 to 100. */
  readonly weight: number;
}

/** A segment, and this node's NIC on it. */
export interface SegmentConfig {
  readonly name: SegmentName;
  /** The NIC of this node on the segment. */
  readonly interface: string;
  /** As written, `192.0.2.0/24`, always the network's own address. */
  readonly subnet: string;
  readonly prefixLength: number;
  /** Its IPv6 network, `2001:db8:1::/64`, if it has IPv6 VIPs or may have. */
  readonly subnet6?: string;
}

/** How the nodes talk to each other. */
export interface RingConfig {
  /** In the order of the paths: path 0 is tried first. */
  readonly segments: readonly SegmentName[];
  /** UDP port of the ring's datagrams. */
  readonly port: number;
}

/** An address, or one of its ports, whose new flows get their nodes in a way of their own. */
export interface ServiceConfig {
  readonly address: string;
  /** Both, or neither: all of the address. */
  readonly protocol?: (typeof SERVICE_PROTOCOLS)[number];
  readonly port?: number;
  readonly assignment: Assignment;
  readonly stickiness: Stickiness;
}

/** A configuration that was checked and completed. */
export interface Config {
  /** Absolute path of the file this came from. */
  readonly file: string;
  readonly cluster: string;
  /** One to KEYS_MAX of 32 bytes: the first seals, all open. */
  readonly clusterKeys: readonly Uint8Array[];
  /** Absolute path of the file that the keys came from. */
  readonly keyFile: string;
  /** This node; also listed in `nodes`. */
  readonly node: NodeConfig;
  readonly failoverTarget_ms: number;
  /** Derived from failoverTarget_ms. */
  readonly timers: Timers;
  readonly quorum: QuorumPolicy;
  /** Ask for a place again after membership was lost. */
  readonly rejoin: boolean;
  /** Connections go on when their gateway dies. */
  readonly keepConnections: boolean;
  readonly assignment: Assignment;
  readonly stickiness: Stickiness;
  readonly services: readonly ServiceConfig[];
  readonly portRanges: readonly PortRange[];
  readonly backend: Backend;
  /** All nodes, by ascending id. */
  readonly nodes: readonly NodeConfig[];
  readonly segments: Readonly<Record<SegmentName, SegmentConfig>>;
  /** In the order of the file. */
  readonly vips: readonly VipConfig<SegmentName>[];
  readonly ring: RingConfig;
  /** Absolute path of the folder with the control socket, the lock and the list of what was installed. */
  readonly stateDir: string;
  readonly logLevel: LogLevel;
}

// The lab on paper: which hosts there are, with which addresses. Pure; lab.ts builds it.
//
//   client ── router ══ external switch ══ gw1..gwN ══ internal switch ══ srv1..srvM
//                    watch-ext, far-ext, probe-ext    watch-int, far-int, probe-int

export const CLIENT_SUBNET = "198.51.100.0/24";
export const EXTERNAL_SUBNET = "192.0.2.0/24";
export const INTERNAL_SUBNET = "10.77.0.0/24";
export const RING_PORT = 7911;
export const HTTP_PORT = 80;
export const IPERF_PORT = 5201;

export const NODES_MAX = 16;
export const SERVERS_MAX = 16;
const CLIENT_ADDRESSES = 8;
/** Fewer VIPs than this per segment would leave little to spread when there are few gateways. */
const VIPS_MIN = 4;

export type Segment = "external" | "internal";
export const SEGMENTS: readonly Segment[] = ["external", "internal"];
/** The ring's paths in their order. */
export const RING_SEGMENTS: readonly Segment[] = ["internal", "external"];

export interface GatewayPlan {
  readonly id: number;
  readonly name: string;
  readonly addresses: Readonly<Record<Segment, string>>;
}

export interface ServerPlan {
  readonly name: string;
  readonly address: string;
  /** The internal VIP that is this server's default gateway: a different one for each, as long as there are enough. */
  readonly gateway: string;
}

/** Two hosts per segment that measure: one asks by ARP, one pings. Two, so that the asking cannot refresh the pinging one's cache. */
export interface TesterPlan {
  readonly name: string;
  readonly segment: Segment;
  readonly address: string;
}

export interface LabPlan {
  readonly gateways: readonly GatewayPlan[];
  readonly servers: readonly ServerPlan[];
  readonly vips: Readonly<Record<Segment, readonly string[]>>;
  readonly clientAddresses: readonly string[];
  readonly clientRouter: string;
  readonly externalRouter: string;
  readonly observers: readonly TesterPlan[];
  /** Observers for the other side of a split; there only where one is made. */
  readonly farObservers: readonly TesterPlan[];
  readonly probers: readonly TesterPlan[];
}

const numbered = <T>(count: number, make: (n: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i + 1));

export function planLab(size: { readonly nodes: number; readonly servers: number }): LabPlan {
  const vipCount = Math.max(VIPS_MIN, size.nodes);
  const internal = numbered(vipCount, (n) => `10.77.0.${100 + n}`);
  return {
    gateways: numbered(size.nodes, (id) => ({
      id,
      name: `gw${id}`,
      addresses: { external: `192.0.2.${10 + id}`, internal: `10.77.0.${10 + id}` },
    })),
    servers: numbered(size.servers, (n) => ({
      name: `srv${n}`,
      address: `10.77.0.${50 + n}`,
      gateway: internal[(n - 1) % vipCount] as string,
    })),
    vips: { external: numbered(vipCount, (n) => `192.0.2.${100 + n}`), internal },
    clientAddresses: numbered(CLIENT_ADDRESSES, (n) => `198.51.100.${9 + n}`),
    clientRouter: "198.51.100.1",
    externalRouter: "192.0.2.1",
    observers: [
      { name: "watch-ext", segment: "external", address: "192.0.2.241" },
      { name: "watch-int", segment: "internal", address: "10.77.0.241" },
    ],
    farObservers: [
      { name: "far-ext", segment: "external", address: "192.0.2.242" },
      { name: "far-int", segment: "internal", address: "10.77.0.242" },
    ],
    probers: [
      { name: "probe-ext", segment: "external", address: "192.0.2.240" },
      { name: "probe-int", segment: "internal", address: "10.77.0.240" },
    ],
  };
}

/** The VIPs of both segments. */
export function allVips(plan: LabPlan): string[] {
  return [...plan.vips.external, ...plan.vips.internal];
}

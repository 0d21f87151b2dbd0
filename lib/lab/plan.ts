// The lab on paper: which hosts there are, with which addresses. Pure; lab.ts builds it.
//
//   client ── router ══ external switch ══ gw1..gwN ══ internal switch ══ srv1..srvM
//                    watch-ext, far-ext, probe-ext    watch-int, far-int, probe-int

import { type AddressFamily, familyOf } from "../config/address.js";

export const CLIENT_SUBNET = "198.51.100.0/24";
export const EXTERNAL_SUBNET = "192.0.2.0/24";
export const INTERNAL_SUBNET = "10.77.0.0/24";
/** The ring is IPv4's in any case, so the gateways' own addresses of IPv6 are not in the daemons' configuration. */
export const SUBNETS6 = {
  client: "2001:db8:c::/64",
  external: "2001:db8:1::/64",
  internal: "2001:db8:2::/64",
} as const;
export const RING_PORT = 7911;
export const HTTP_PORT = 80;
export const IPERF_PORT = 5201;
/** Of FTP's control connections. */
export const FTP_PORT = 21;
/** Of connections that are held open (held.ts). */
export const HELD_PORT = 8080;
/** Of `rainfront-testhost echo`, by UDP. */
export const ECHO_PORT = 7;

export const NODES_MAX = 16;
export const SERVERS_MAX = 16;
const CLIENT_ADDRESSES = 8;
/** Fewer VIPs than this per segment would leave little to spread when there are few gateways. */
const VIPS_MIN = 4;

export type Segment = "external" | "internal";
export const SEGMENTS: readonly Segment[] = ["external", "internal"];
/** Of a gateway. */
export const NICS: Readonly<Record<Segment, string>> = { external: "ext0", internal: "int0" };
/** The ring's paths in their order. */
export const RING_SEGMENTS: readonly Segment[] = ["internal", "external"];

export interface GatewayPlan {
  readonly id: number;
  readonly name: string;
  readonly addresses: Readonly<Record<Segment, string>>;
  /** Of IPv6, where there are IPv6 VIPs. */
  readonly addresses6: Readonly<Record<Segment, readonly string[]>>;
}

export interface ServerPlan {
  readonly name: string;
  /** One of each family. */
  readonly addresses: readonly string[];
  /** The internal VIP of each family that is this server's default gateway: a different one for each, as long as there are enough. */
  readonly gateways: readonly string[];
}

/**
 * Two hosts per segment and family that measure: one asks by ARP or neighbour discovery, one pings. Two, so that the asking cannot refresh the
 * pinging one's cache.
 */
export interface TesterPlan {
  readonly name: string;
  readonly segment: Segment;
  readonly address: string;
}

export interface LabPlan {
  /** Of the VIPs and of all that is carried. */
  readonly families: readonly AddressFamily[];
  readonly gateways: readonly GatewayPlan[];
  readonly servers: readonly ServerPlan[];
  readonly vips: Readonly<Record<Segment, readonly string[]>>;
  /** The node that a VIP is to be on; a VIP that is not named goes where there is room. */
  readonly preferredHosts: Readonly<Record<string, number>>;
  readonly clientAddresses: readonly string[];
  /** The router's addresses, one of each family. */
  readonly clientRouters: readonly string[];
  readonly externalRouters: readonly string[];
  readonly observers: readonly TesterPlan[];
  /** Observers for the other side of a split; there only where one is made. */
  readonly farObservers: readonly TesterPlan[];
  readonly probers: readonly TesterPlan[];
}

const numbered = <T>(count: number, make: (n: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i + 1));

/** What is different from family to family: how the hosts of the networks are numbered. */
interface Numbering {
  readonly client: (n: number) => string;
  readonly external: (n: number) => string;
  readonly internal: (n: number) => string;
}

const NUMBERING: Readonly<Record<AddressFamily, Numbering>> = {
  4: { client: (n) => `198.51.100.${n}`, external: (n) => `192.0.2.${n}`, internal: (n) => `10.77.0.${n}` },
  6: { client: (n) => `2001:db8:c::${n}`, external: (n) => `2001:db8:1::${n}`, internal: (n) => `2001:db8:2::${n}` },
};

export function planLab(size: {
  readonly nodes: number;
  readonly servers: number;
  readonly families?: readonly AddressFamily[];
  /** So many VIPs per segment, of which the first ones prefer one node, the second ones the next, and so on; else as many as there are gateways. */
  readonly vipPairs?: number;
}): LabPlan {
  const families = size.families ?? [4];
  const vipCount = size.vipPairs ?? Math.max(VIPS_MIN, size.nodes);
  const each = <T>(make: (numbering: Numbering, family: AddressFamily) => T): T[] =>
    families.map((family) => make(NUMBERING[family], family));
  const own6 = (id: number, segment: Segment) => (families.includes(6) ? [NUMBERING[6][segment](10 + id)] : []);
  const testers = (name: string, host: number): TesterPlan[] =>
    each((numbering, family) =>
      SEGMENTS.map((segment) => ({
        name: `${name}-${segment.slice(0, 3)}${family === 6 ? "6" : ""}`,
        segment,
        address: numbering[segment](host),
      })),
    ).flat();
  const vips = (segment: Segment) => each((numbering) => numbered(vipCount, (n) => numbering[segment](100 + n)));
  const hostOf = (index: number) => (index % size.nodes) + 1;
  const preferred = SEGMENTS.flatMap((segment) =>
    vips(segment).flatMap((ofFamily) => ofFamily.map((vip, index) => [vip, hostOf(index)] as const)),
  );
  return {
    families,
    gateways: numbered(size.nodes, (id) => ({
      id,
      name: `gw${id}`,
      addresses: { external: NUMBERING[4].external(10 + id), internal: NUMBERING[4].internal(10 + id) },
      addresses6: { external: own6(id, "external"), internal: own6(id, "internal") },
    })),
    servers: numbered(size.servers, (n) => ({
      name: `srv${n}`,
      addresses: each(({ internal }) => internal(50 + n)),
      gateways: each(({ internal }) => internal(101 + ((n - 1) % vipCount))),
    })),
    vips: { external: vips("external").flat(), internal: vips("internal").flat() },
    preferredHosts: size.vipPairs === undefined ? {} : Object.fromEntries(preferred),
    clientAddresses: each(({ client }) => numbered(CLIENT_ADDRESSES, (n) => client(9 + n))).flat(),
    clientRouters: each(({ client }) => client(1)),
    externalRouters: each(({ external }) => external(1)),
    observers: testers("watch", 241),
    farObservers: testers("far", 242),
    probers: testers("probe", 240),
  };
}

/** The VIPs of both segments. */
export function allVips(plan: LabPlan): string[] {
  return [...plan.vips.external, ...plan.vips.internal];
}

/** An address as a NIC of the lab has it. */
export function onLink(address: string): string {
  return `${address}/${familyOf(address) === 6 ? 64 : 24}`;
}

/** Those of the same family as an address. */
export function ofFamilyOf(address: string, all: readonly string[]): string[] {
  return all.filter((one) => familyOf(one) === familyOf(address));
}

/** Settings of a host that has addresses of these families: those of IPv6 are there at once, and no router changes them. */
export function familySysctls(families: readonly AddressFamily[]): Record<string, number> {
  if (!families.includes(6)) return {};
  return {
    "net/ipv6/conf/default/accept_dad": 0,
    "net/ipv6/conf/default/dad_transmits": 0,
    "net/ipv6/conf/default/accept_ra": 0,
    "net/ipv6/conf/all/disable_ipv6": 0,
    "net/ipv6/conf/default/disable_ipv6": 0,
  };
}

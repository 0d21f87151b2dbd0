// What concerns more than one value of the configuration: duplicates, addresses and their subnets, ids that must exist.
// Pure; load.ts turns the first problem into an error with file and line.

import type { ErrorCode } from "../errors.js";
import { tableBytes } from "../vip/codec.js";
import {
  MAX_NODES,
  MAX_VIPS,
  PORT_RANGES_MAX,
  SEGMENT_NAMES,
  SERVICES_MAX,
  type SegmentName,
  TABLE_BYTES_MAX,
} from "./config.js";
import {
  contains,
  formatIpv4,
  formatSubnet,
  type Ipv4Subnet,
  isHostOf,
  overlap,
  parseCidr,
  parseIpv4,
} from "./ipv4.js";
import {
  contains6,
  formatIpv6,
  formatSubnet6,
  type Ipv6Subnet,
  isHostOf6,
  overlap6,
  parseCidr6,
  parseIpv6,
} from "./ipv6.js";
import type { FileConfig } from "./schema.js";

export interface Problem {
  readonly code: ErrorCode;
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly fix: string;
}

type Path = Problem["path"];

/** A segment's networks. */
interface Subnets {
  readonly ipv4: Ipv4Subnet;
  readonly ipv6: Ipv6Subnet | undefined;
}

/** Remembers where a value was seen first. */
class Seen {
  readonly #places = new Map<string | number, string>();

  constructor(readonly what: string) {}

  *note(value: string | number, path: Path, place: string): Generator<Problem> {
    const first = this.#places.get(value);
    if (first === undefined) this.#places.set(value, place);
    else {
      yield {
        code: "RF_CONFIG_DUPLICATE",
        path,
        message: `${this.what} ${value} is used twice, first by ${first}`,
        fix: `give ${place} a value of its own`,
      };
    }
  }
}

/** All problems, in the order they should be mended. */
export function* checkConfig(config: FileConfig, nodeId: number | undefined): Generator<Problem> {
  yield* checkLimits(config);
  const subnets = {
    external: subnetsFor(config, "external"),
    internal: subnetsFor(config, "internal"),
  };
  yield* checkSegments(config, subnets);
  const addresses = new Seen("address");
  yield* checkNodes(config, subnets, addresses);
  yield* checkVips(config, subnets, addresses);
  yield* checkRing(config);
  yield* checkTieBreaker(config);
  yield* checkStickiness(config);
  yield* checkServices(config);
  yield* checkPortRanges(config, subnets);
  yield* checkSelf(config, nodeId);
}

function subnetsFor(config: FileConfig, name: SegmentName): Subnets {
  const { subnet, subnet6 } = config.segments[name];
  const cidr = parseCidr(subnet);
  const cidr6 = subnet6 === undefined ? undefined : parseCidr6(subnet6);
  if (cidr === undefined || (subnet6 !== undefined && cidr6 === undefined)) {
    throw new Error("the schema lets only subnets through");
  }
  return { ipv4: cidr.subnet, ipv6: cidr6?.subnet };
}

const LIMIT_FIXES = {
  nodes: "split the group into several clusters",
  vips: "split the group into several clusters",
  services: "say for an address as a whole what holds for most of its ports",
  portRanges: "use fewer addresses with more ports",
} as const;

function* checkLimits(config: FileConfig): Generator<Problem> {
  const limits = [
    { key: "nodes", least: 1, count: config.nodes.length, most: MAX_NODES },
    { key: "vips", least: 0, count: config.vips.length, most: MAX_VIPS },
    { key: "services", least: 0, count: config.services.length, most: SERVICES_MAX },
    { key: "portRanges", least: 0, count: config.portRanges.length, most: PORT_RANGES_MAX },
  ] as const;
  for (const { key, least, count, most } of limits) {
    if (count >= least && count <= most) continue;
    yield {
      code: "RF_CONFIG_LIMIT",
      path: [key],
      message: `${count} entries, allowed are ${least} to ${most}`,
      fix: count < least ? "list this machine at least" : LIMIT_FIXES[key],
    };
  }
  const bytes = tableBytes(config.vips);
  if (bytes > TABLE_BYTES_MAX) {
    yield {
      code: "RF_CONFIG_LIMIT",
      path: ["vips"],
      message: `the table of ${config.vips.length} VIPs takes ${bytes} bytes of the token, allowed are ${TABLE_BYTES_MAX}`,
      fix: "list fewer IPv6 VIPs or shorter ones, or split the group into several clusters",
    };
  }
}

function* checkSegments(config: FileConfig, subnets: Record<SegmentName, Subnets>): Generator<Problem> {
  const interfaces = new Seen("interface");
  for (const name of SEGMENT_NAMES) {
    const path = ["segments", name, "interface"];
    yield* interfaces.note(config.segments[name].interface, path, `segment ${name}`);
  }
  const { external, internal } = subnets;
  if (overlap(external.ipv4, internal.ipv4)) {
    yield overlapping("subnet", formatSubnet(internal.ipv4), formatSubnet(external.ipv4));
  }
  if (external.ipv6 !== undefined && internal.ipv6 !== undefined && overlap6(external.ipv6, internal.ipv6)) {
    yield overlapping("subnet6", formatSubnet6(internal.ipv6), formatSubnet6(external.ipv6));
  }
}

function overlapping(key: "subnet" | "subnet6", internal: string, external: string): Problem {
  return {
    code: "RF_CONFIG_SUBNET",
    path: ["segments", "internal", key],
    message: `${internal} overlaps segment external's ${external}`,
    fix: "give the segments networks that do not overlap",
  };
}

function* checkNodes(config: FileConfig, subnets: Record<SegmentName, Subnets>, addresses: Seen): Generator<Problem> {
  const ids = new Seen("node id");
  const names = new Seen("node name");
  for (const [index, node] of config.nodes.entries()) {
    yield* ids.note(node.id, ["nodes", index, "id"], `nodes[${index}]`);
    yield* names.note(node.name, ["nodes", index, "name"], `nodes[${index}]`);
    for (const segment of SEGMENT_NAMES) {
      const path = ["nodes", index, "addresses", segment];
      const address = node.addresses[segment];
      const { ipv4 } = subnets[segment];
      if (!isHostOf(ipv4, parseIpv4(address) ?? 0)) {
        yield {
          code: "RF_CONFIG_ADDRESS_OUTSIDE_SEGMENT",
          path,
          message: `${address} is no host address of segment ${segment}, ${formatSubnet(ipv4)}`,
          fix: hostRange(ipv4),
        };
      }
      yield* addresses.note(address, path, `node ${node.name} on ${segment}`);
    }
  }
}

function* checkVips(config: FileConfig, subnets: Record<SegmentName, Subnets>, addresses: Seen): Generator<Problem> {
  for (const [index, vip] of config.vips.entries()) {
    const path = ["vips", index, "address"];
    const outside = placeOutside(vip.address, vip.segment, subnets[vip.segment]);
    if (outside !== undefined) yield { code: "RF_CONFIG_VIP_OUTSIDE_SEGMENT", path, ...outside };
    yield* addresses.note(vip.address, path, `vips[${index}]`);
    yield* checkPreference(config, index);
  }
}

/** What is wrong with a VIP that is no host address of its segment. */
function placeOutside(
  address: string,
  segment: SegmentName,
  { ipv4, ipv6 }: Subnets,
): Pick<Problem, "message" | "fix"> | undefined {
  const address6 = parseIpv6(address);
  if (address6 === undefined) {
    if (isHostOf(ipv4, parseIpv4(address) ?? 0)) return undefined;
    return {
      message: `${address} is no host address of segment ${segment}, ${formatSubnet(ipv4)}`,
      fix: `${hostRange(ipv4)}, or another segment`,
    };
  }
  if (ipv6 === undefined) {
    return {
      message: `segment ${segment} has no IPv6 network for ${address}`,
      fix: `add segments.${segment}.subnet6, like 2001:db8:1::/64`,
    };
  }
  if (isHostOf6(ipv6, address6)) return undefined;
  return {
    message: `${address} is no host address of segment ${segment}, ${formatSubnet6(ipv6)}`,
    fix: `${hostRange6(ipv6)}, or another segment`,
  };
}

function* checkPreference(config: FileConfig, index: number): Generator<Problem> {
  const vip = config.vips[index];
  if (vip === undefined) return;
  const known = config.nodes.some((node) => node.id === vip.preferredHost);
  if (vip.preferredHost !== 0 && !known) {
    yield {
      code: "RF_CONFIG_UNKNOWN_NODE",
      path: ["vips", index, "preferredHost"],
      message: `there is no node ${vip.preferredHost}`,
      fix: `write one of ${idList(config)}, or 0 for none`,
    };
  }
  if (vip.persistence === 3 && vip.preferredHost === 0) {
    yield {
      code: "RF_CONFIG_VALUE",
      path: ["vips", index, "persistence"],
      message: "3 means to return to the preferred host, but there is none",
      fix: "add preferredHost, or write persistence 0 or 1",
    };
  }
}

function* checkRing(config: FileConfig): Generator<Problem> {
  const segments = new Seen("segment");
  for (const [index, name] of config.ring.segments.entries()) {
    yield* segments.note(name, ["ring", "segments", index], `ring.segments[${index}]`);
  }
}

/** The hash alone knows flows, and neither hosts nor services. */
function* checkStickiness({ assignment, stickiness, services, portRanges }: FileConfig): Generator<Problem> {
  if (assignment !== "authority") return;
  const isWished = {
    stickiness: stickiness !== "none",
    services: services.length > 0,
    portRanges: portRanges.length > 0,
  };
  for (const [key, isThere] of Object.entries(isWished)) {
    if (!isThere) continue;
    yield {
      code: "RF_CONFIG_VALUE",
      path: [key],
      message: "cannot be had with assignment: authority",
      fix: `write \`assignment: receiver\` or \`assignment: balanced\`, or leave ${key} out`,
    };
  }
}

function* checkServices(config: FileConfig): Generator<Problem> {
  const places = new Seen("service");
  for (const [index, service] of config.services.entries()) {
    const { address, protocol, port, assignment, stickiness } = service;
    const path: Path = ["services", index];
    if ((protocol === undefined) !== (port === undefined)) {
      yield {
        code: "RF_CONFIG_VALUE",
        path: [...path, protocol === undefined ? "port" : "protocol"],
        message: "a service is a protocol and a port, or all of its address",
        fix: protocol === undefined ? "add protocol: tcp or protocol: udp" : "add port, or leave protocol out",
      };
    }
    if (assignment === undefined && stickiness === undefined) {
      yield {
        code: "RF_CONFIG_VALUE",
        path,
        message: "has nothing of its own",
        fix: "add assignment or stickiness, or remove the service",
      };
    }
    if (assignment === "authority" && (stickiness ?? config.stickiness) !== "none") {
      yield {
        code: "RF_CONFIG_VALUE",
        path: [...path, "assignment"],
        message: "flows that go where their hash names do not stick to hosts",
        fix: "add stickiness: none, or write assignment: receiver or assignment: balanced",
      };
    }
    yield* checkServicePort(service, path, config);
    yield* places.note([address, protocol, port].join(" ").trim(), path, `services[${index}]`);
  }
}

/** What comes in to a port of a range is taken for the answers of the node whose part it is in. */
function* checkServicePort(
  { address, port }: FileConfig["services"][number],
  path: Path,
  { portRanges }: FileConfig,
): Generator<Problem> {
  const range = portRanges.findIndex(
    (one) => one.address === address && port !== undefined && port >= one.first && port <= one.last,
  );
  if (range < 0) return;
  yield {
    code: "RF_CONFIG_VALUE",
    path: [...path, "port"],
    message: `${port} is inside portRanges[${range}], whose ports are those of connections that leave`,
    fix: "leave the service's port out of the range, or give the service another address",
  };
}

function* checkPortRanges(config: FileConfig, subnets: Record<SegmentName, Subnets>): Generator<Problem> {
  const addresses = new Seen("address");
  for (const [index, { address, first, last }] of config.portRanges.entries()) {
    const path: Path = ["portRanges", index];
    if (last - first + 1 < config.nodes.length) {
      yield {
        code: "RF_CONFIG_VALUE",
        path: [...path, "last"],
        message: `${Math.max(0, last - first + 1)} ports, for ${config.nodes.length} nodes`,
        fix: `write ${Math.min(0xffff, first + config.nodes.length - 1)} or more: every node needs ports of its own`,
      };
    }
    const isVip = config.vips.some((vip) => vip.address === address);
    const segment = SEGMENT_NAMES.find((name) => isInside(address, subnets[name]));
    if (!isVip && segment !== undefined) {
      yield {
        code: "RF_CONFIG_VALUE",
        path: [...path, "address"],
        message: `${address} is on segment ${segment}, and no VIP, so nobody answers for it there`,
        fix: "add it to vips, or use an address that is routed to a VIP",
      };
    }
    yield* addresses.note(address, [...path, "address"], `portRanges[${index}]`);
  }
}

function isInside(address: string, { ipv4, ipv6 }: Subnets): boolean {
  const address6 = parseIpv6(address);
  if (address6 === undefined) return contains(ipv4, parseIpv4(address) ?? 0);
  return ipv6 !== undefined && contains6(ipv6, address6);
}

function* checkTieBreaker(config: FileConfig): Generator<Problem> {
  const { tieBreaker, quorum } = config;
  if (tieBreaker === undefined) return;
  if (quorum !== "majority") {
    yield {
      code: "RF_CONFIG_VALUE",
      path: ["tieBreaker"],
      message: "nothing is to be decided, since every group serves",
      fix: "write quorum: majority, or remove tieBreaker",
    };
  } else if (!config.nodes.some((node) => node.id === tieBreaker)) {
    yield {
      code: "RF_CONFIG_UNKNOWN_NODE",
      path: ["tieBreaker"],
      message: `there is no node ${tieBreaker}`,
      fix: `write one of ${idList(config)}`,
    };
  }
}

function* checkSelf(config: FileConfig, nodeId: number | undefined): Generator<Problem> {
  if (nodeId !== undefined && config.nodes.some((node) => node.id === nodeId)) return;
  yield {
    code: "RF_CONFIG_UNKNOWN_NODE",
    path: ["node"],
    message: nodeId === undefined ? "it is not said which node this is" : `there is no node ${nodeId}`,
    fix: `write node: ID or give --node ID, where ID is one of ${idList(config)}`,
  };
}

function idList(config: FileConfig): string {
  const shown = config.nodes.slice(0, 8).map((node) => node.id);
  return shown.join(", ") + (config.nodes.length > shown.length ? ", …" : "");
}

function hostRange(subnet: Ipv4Subnet): string {
  return `use an address from ${formatIpv4(subnet.network + 1)} to ${formatIpv4(subnet.broadcast - 1)}`;
}

function hostRange6(subnet: Ipv6Subnet): string {
  return `use an address from ${formatIpv6(subnet.network + 1n)} to ${formatIpv6(subnet.last)}`;
}

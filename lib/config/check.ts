// What concerns more than one value of the configuration: duplicates, addresses and their subnets, ids that must exist.
// Pure; load.ts turns the first problem into an error with file and line.

import type { ErrorCode } from "../errors.js";
import { MAX_NODES, MAX_VIPS, SEGMENT_NAMES, type SegmentName } from "./config.js";
import { formatIpv4, formatSubnet, type Ipv4Subnet, isHostOf, overlap, parseCidr, parseIpv4 } from "./ipv4.js";
import type { FileConfig } from "./schema.js";

export interface Problem {
  readonly code: ErrorCode;
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly fix: string;
}

type Path = Problem["path"];

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
    external: subnetFor(config, "external"),
    internal: subnetFor(config, "internal"),
  };
  yield* checkSegments(config, subnets);
  const addresses = new Seen("address");
  yield* checkNodes(config, subnets, addresses);
  yield* checkVips(config, subnets, addresses);
  yield* checkRing(config);
  yield* checkTieBreaker(config);
  yield* checkSelf(config, nodeId);
}

function subnetFor(config: FileConfig, name: SegmentName): Ipv4Subnet {
  const cidr = parseCidr(config.segments[name].subnet);
  if (cidr === undefined) throw new Error("the schema lets only subnets through");
  return cidr.subnet;
}

function* checkLimits(config: FileConfig): Generator<Problem> {
  const limits = [
    { key: "nodes", least: 1, count: config.nodes.length, most: MAX_NODES },
    { key: "vips", least: 0, count: config.vips.length, most: MAX_VIPS },
  ];
  for (const { key, least, count, most } of limits) {
    if (count >= least && count <= most) continue;
    yield {
      code: "RF_CONFIG_LIMIT",
      path: [key],
      message: `${count} entries, allowed are ${least} to ${most}`,
      fix: count < least ? "list this machine at least" : "split the group into several clusters",
    };
  }
}

function* checkSegments(config: FileConfig, subnets: Record<SegmentName, Ipv4Subnet>): Generator<Problem> {
  const interfaces = new Seen("interface");
  for (const name of SEGMENT_NAMES) {
    const path = ["segments", name, "interface"];
    yield* interfaces.note(config.segments[name].interface, path, `segment ${name}`);
  }
  if (overlap(subnets.external, subnets.internal)) {
    yield {
      code: "RF_CONFIG_SUBNET",
      path: ["segments", "internal", "subnet"],
      message: `${formatSubnet(subnets.internal)} overlaps segment external's ${formatSubnet(subnets.external)}`,
      fix: "give the segments networks that do not overlap",
    };
  }
}

function* checkNodes(
  config: FileConfig,
  subnets: Record<SegmentName, Ipv4Subnet>,
  addresses: Seen,
): Generator<Problem> {
  const ids = new Seen("node id");
  const names = new Seen("node name");
  for (const [index, node] of config.nodes.entries()) {
    yield* ids.note(node.id, ["nodes", index, "id"], `nodes[${index}]`);
    yield* names.note(node.name, ["nodes", index, "name"], `nodes[${index}]`);
    for (const segment of SEGMENT_NAMES) {
      const path = ["nodes", index, "addresses", segment];
      const address = node.addresses[segment];
      if (!isHostOf(subnets[segment], parseIpv4(address) ?? 0)) {
        yield {
          code: "RF_CONFIG_ADDRESS_OUTSIDE_SEGMENT",
          path,
          message: `${address} is no host address of segment ${segment}, ${formatSubnet(subnets[segment])}`,
          fix: hostRange(subnets[segment]),
        };
      }
      yield* addresses.note(address, path, `node ${node.name} on ${segment}`);
    }
  }
}

function* checkVips(config: FileConfig, subnets: Record<SegmentName, Ipv4Subnet>, addresses: Seen): Generator<Problem> {
  for (const [index, vip] of config.vips.entries()) {
    const path = ["vips", index, "address"];
    const subnet = subnets[vip.segment];
    if (!isHostOf(subnet, parseIpv4(vip.address) ?? 0)) {
      yield {
        code: "RF_CONFIG_VIP_OUTSIDE_SEGMENT",
        path,
        message: `${vip.address} is no host address of segment ${vip.segment}, ${formatSubnet(subnet)}`,
        fix: `${hostRange(subnet)}, or another segment`,
      };
    }
    yield* addresses.note(vip.address, path, `vips[${index}]`);
    yield* checkPreference(config, index);
  }
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

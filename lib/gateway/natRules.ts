// The nftables rules by which a node's firewall translates connections that leave, under ports of the node's own (portRanges): the answers name the node, and no other node has to remember
// them. Pure; printed by `rainfront nat-rules`.

import { type AddressFamily, FAMILIES, familyOf } from "../config/address.js";
import { type Config, SEGMENT_NAMES, type SegmentName } from "../config/config.js";
import { contains, parseCidr, parseIpv4 } from "../config/ipv4.js";
import { contains6, parseCidr6, parseIpv6 } from "../config/ipv6.js";
import { RainfrontError } from "../errors.js";
import { type PortRange, partOf } from "../steering/portRanges.js";
import { innerInterface } from "./names.js";

export type NatConfig = Pick<Config, "node" | "nodes" | "segments" | "portRanges">;

/** Of nftables, family inet. */
export const NAT_TABLE = "rainfront_nat";

/** A node's own ports. */
export function ownPorts({ node, nodes, portRanges }: NatConfig): readonly PortRange[] {
  const nodeIds = nodes.map(({ id }) => id);
  return portRanges.map((range) => partOf(range, nodeIds, node.id));
}

/** What `nft -f` takes, as often as one likes. Throws `RF_CONFIG_VALUE` where there are no port ranges, or a NIC has a name that nftables cannot take. */
export function natRules(config: NatConfig): string {
  const parts = ownPorts(config);
  if (parts.length === 0) {
    throw new RainfrontError("RF_CONFIG_VALUE", "portRanges is missing: no node has ports of its own", {
      fix: "add portRanges, like [{ address: 192.0.2.101, first: 10000, last: 59999 }]",
    });
  }
  const { node } = config;
  for (const segment of SEGMENT_NAMES) checkName(config.segments[segment].interface, segment);
  const rules = SEGMENT_NAMES.flatMap((segment) =>
    FAMILIES.flatMap((family) => {
      const some = parts.filter((part) => familyOf(part.address) === family && segmentOf(part, config) === segment);
      return rulesOf(some, family, config.segments[segment].interface, segment);
    }),
  );
  return `# Node ${node.id} (${node.name}): connections that leave are translated to ports of its own. Made by rainfront nat-rules; load it with nft -f.
add table inet ${NAT_TABLE}
flush table inet ${NAT_TABLE}
table inet ${NAT_TABLE} {
  chain translate {
    type nat hook postrouting priority srcnat; policy accept;
${rules.map((rule) => `    ${rule}`).join("\n")}
  }
}
`;
}

/** nftables has no way to write these in a name: `*` at its end stands for anything. */
function checkName(nic: string, segment: SegmentName): void {
  if (!/["*\\]/.test(nic)) return;
  throw new RainfrontError(
    "RF_CONFIG_VALUE",
    `segments.${segment}.interface is ${nic}, which no nftables rule can name`,
    {
      fix: `rename the interface: ip link set dev '${nic}' name NAME`,
    },
  );
}

/** On which segment its answers come in: an address that is on neither is routed to the layer from outside. */
function segmentOf({ address }: PortRange, { segments }: NatConfig): SegmentName {
  return SEGMENT_NAMES.find((name) => isOn(address, segments[name])) ?? "external";
}

function isOn(address: string, { subnet, subnet6 }: Config["segments"][SegmentName]): boolean {
  const ipv6 = parseIpv6(address);
  const network = parseCidr(subnet)?.subnet;
  if (ipv6 === undefined) return network !== undefined && contains(network, parseIpv4(address) ?? 0);
  const network6 = subnet6 === undefined ? undefined : parseCidr6(subnet6)?.subnet;
  return network6 !== undefined && contains6(network6, ipv6);
}

/**
 * What the gateways send themselves stays as it is: the ring's datagrams go by their own addresses. One host leaves under one address, as protocols want it whose connections belong
 * together. Protocols without ports are translated, too: their answers are found by asking the other nodes, or told where connections are kept.
 */
function rulesOf(parts: readonly PortRange[], family: AddressFamily, nic: string, segment: SegmentName): string[] {
  const ip = family === 6 ? "ip6" : "ip";
  const leaving = `oifname { "${nic}", "${innerInterface(segment)}" } fib saddr type != local meta nfproto ipv${family}`;
  return parts.flatMap(({ address, first, last }, index) => {
    const chosen = parts.length === 1 ? leaving : `${leaving} jhash ${ip} saddr mod ${parts.length} seed 0x1 ${index}`;
    const ported = family === 6 ? `[${address}]:${first}-${last}` : `${address}:${first}-${last}`;
    return [`${chosen} meta l4proto { tcp, udp } snat ${ip} to ${ported}`, `${chosen} snat ${ip} to ${address}`];
  });
}

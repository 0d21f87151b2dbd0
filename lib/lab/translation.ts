// How the gateways' firewalls translate the addresses of the connections of `symmetry`: the rules for it, and whether an entry of a connection table shows
// that it was done. Pure.

import { type AddressFamily, familyOf } from "../config/address.js";
import { type NatConfig, natRules, ownPorts } from "../gateway/natRules.js";
import type { PortRange } from "../steering/portRanges.js";
import type { Connection } from "./conntrack.js";
import {
  CLIENT_SUBNET,
  EXTERNAL_SUBNET,
  FTP_PORT,
  type GatewayPlan,
  HTTP_PORT,
  INTERNAL_SUBNET,
  type LabPlan,
  NICS,
  SUBNETS6,
} from "./plan.js";

/**
 * `snat`: connections from inside leave under an external VIP, the same one whichever gateway handles them. `masquerade`: under the gateway's own address.
 * `ports`: under an external VIP, as `rainfront nat-rules` says it of port ranges. `dnat`: connections to an external VIP go to one of the servers.
 */
export const NATS = ["none", "masquerade", "dnat", "snat", "ports"] as const;
export type Nat = (typeof NATS)[number];

/** From where the connections are opened. */
export const OPENED_FROM: Readonly<Record<Nat, "outside" | "inside">> = {
  none: "outside",
  dnat: "outside",
  masquerade: "inside",
  snat: "inside",
  ports: "inside",
};

/** Replies that have another flow key come to a gateway that only its firewall's table can lead to the one that handles the connection. */
export function changesFlowKey(nat: Nat): boolean {
  return nat === "snat" || nat === "dnat" || nat === "ports";
}

const SNAT_FIRST_PORT = 4096;
const SNAT_PORTS = 61_440;

/** With one address for all gateways, each has source ports of its own: else two could give one to two connections to the same target. */
export function snatPorts(plan: LabPlan, gatewayId: number): Pick<PortRange, "first" | "last"> {
  const size = Math.floor(SNAT_PORTS / plan.gateways.length);
  const first = SNAT_FIRST_PORT + (gatewayId - 1) * size;
  return { first, last: first + size - 1 };
}

/** The external VIP of each family under which connections from inside leave. */
export function snatVips(plan: LabPlan): string[] {
  return plan.families.flatMap((family) => plan.vips.external.find((vip) => familyOf(vip) === family) ?? []);
}

/** Of each family the second external VIP, where there is one, for all gateways together: what the daemons are told, too. */
export function portRangesOf(plan: LabPlan): PortRange[] {
  return plan.families.flatMap((family) => {
    const address = plan.vips.external.filter((vip) => familyOf(vip) === family)[1];
    return address === undefined ? [] : [{ address, first: SNAT_FIRST_PORT, last: SNAT_FIRST_PORT + SNAT_PORTS - 1 }];
  });
}

/** What `rainfront nat-rules` goes by. */
function natConfig(plan: LabPlan, gatewayId: number): NatConfig {
  const nodes = plan.gateways.map(({ id, name, addresses }) => ({ id, name, addresses, weight: 1 }));
  const node = nodes.find(({ id }) => id === gatewayId);
  if (node === undefined) throw new Error(`there is no gateway ${gatewayId}`);
  const external = { name: "external", interface: NICS.external, subnet: EXTERNAL_SUBNET, prefixLength: 24 } as const;
  const internal = { name: "internal", interface: NICS.internal, subnet: INTERNAL_SUBNET, prefixLength: 24 } as const;
  return {
    node,
    nodes,
    portRanges: portRangesOf(plan),
    segments: {
      external: { ...external, subnet6: SUBNETS6.external },
      internal: { ...internal, subnet6: SUBNETS6.internal },
    },
  };
}

/** A table of nftables beside the firewall's own; undefined: there is none. */
export function translationTable(plan: LabPlan, nat: Nat, gatewayId: number): string | undefined {
  return nat === "ports" ? natRules(natConfig(plan, gatewayId)) : undefined;
}

/** nftables' chains, for a table of the family inet. */
export function translationChains(plan: LabPlan, nat: Nat, gatewayId: number): string {
  switch (nat) {
    case "none":
    case "ports": // in a table of its own
      return "";
    case "masquerade":
      return outbound(plan, () => "masquerade");
    case "snat": {
      const { first, last } = snatPorts(plan, gatewayId);
      const vips = snatVips(plan);
      return outbound(plan, (family, ip) => {
        const vip = vips.find((one) => familyOf(one) === family) ?? "";
        return `snat ${ip} to ${family === 6 ? `[${vip}]` : vip}:${first}-${last}`;
      });
    }
    case "dnat":
      return inbound(plan);
  }
}

/** By addresses, not by interfaces: what comes through the layer comes by Rainfront's own interface. */
function outbound(plan: LabPlan, action: (family: AddressFamily, ip: string) => string): string {
  const rules = plan.families.map((family) => {
    const [ip, inside, outside] =
      family === 6 ? ["ip6", SUBNETS6.internal, SUBNETS6.client] : ["ip", INTERNAL_SUBNET, CLIENT_SUBNET];
    return `    ${ip} saddr ${inside} ${ip} daddr ${outside} meta l4proto tcp ${action(family, ip)}`;
  });
  return `  chain translate_out {
    type nat hook postrouting priority srcnat; policy accept;
${rules.join("\n")}
  }
`;
}

/** Which server follows from the connection alone, so that every gateway would choose the same one. */
function inbound(plan: LabPlan): string {
  const rules = plan.families.map((family) => {
    const ip = family === 6 ? "ip6" : "ip";
    const vips = plan.vips.external.filter((vip) => familyOf(vip) === family);
    const servers = plan.servers.flatMap(({ addresses }) => addresses.filter((one) => familyOf(one) === family));
    const choice = servers.map((server, index) => `${index} : ${server}`).join(", ");
    return (
      `    ${ip} daddr { ${vips.join(", ")} } tcp dport { ${HTTP_PORT}, ${FTP_PORT} } ` +
      `dnat ${ip} to jhash ${ip} saddr . tcp sport mod ${servers.length} seed 0x1 map { ${choice} }`
    );
  });
  return `  chain translate_in {
    type nat hook prerouting priority dstnat; policy accept;
${rules.join("\n")}
  }
`;
}

/** Whether this gateway's entry of a connection shows the translation that was asked for, and no other. */
export function isTranslated(connection: Connection, nat: Nat, plan: LabPlan, gateway: GatewayPlan): boolean {
  const { source, sourcePort, target, targetPort, reply } = connection;
  const sameSource = reply.target === source && reply.targetPort === sourcePort;
  const sameTarget = reply.source === target && reply.sourcePort === targetPort;
  switch (nat) {
    case "none":
      return sameSource && sameTarget;
    case "masquerade":
      return sameTarget && [gateway.addresses.external, ...gateway.addresses6.external].includes(reply.target);
    case "snat": {
      const { first, last } = snatPorts(plan, gateway.id);
      const inRange = reply.targetPort >= first && reply.targetPort <= last;
      return sameTarget && inRange && snatVips(plan).includes(reply.target);
    }
    case "ports": {
      const own = ownPorts(natConfig(plan, gateway.id)).find(({ address }) => address === reply.target);
      return sameTarget && own !== undefined && reply.targetPort >= own.first && reply.targetPort <= own.last;
    }
    case "dnat":
      return (
        sameSource &&
        plan.vips.external.includes(target) &&
        reply.sourcePort === targetPort &&
        plan.servers.some(({ addresses }) => addresses.includes(reply.source))
      );
  }
}

// The stateful firewall of a gateway: its nftables rules, and its counters. Rules do not match by interface, because what
// comes through the layer arrives on Rainfront's own interface and what does not on the NIC.

import { z } from "zod";
import { NAT_TABLE } from "../gateway/natRules.js";
import type { Host } from "./host.js";
import { ECHO_PORT, FTP_PORT, HELD_PORT, HTTP_PORT, IPERF_PORT, type LabPlan, RING_PORT } from "./plan.js";
import { type Nat, translationChains, translationTable } from "./translation.js";

const TABLE = "rflab";

/** What a firewall does besides filtering. */
export interface FirewallDuty {
  readonly nat: Nat;
  /** FTP's control connections are let through, and read for the data connections that they announce: only those are. */
  readonly ftp: boolean;
}

const FILTER_ONLY: FirewallDuty = { nat: "none", ftp: false };

/** Default drop; new connections only to the servers' ports; the ring's datagrams and lifelines only from the gateways' own addresses. */
export function firewallRules(plan: LabPlan, gatewayId: number, { nat, ftp }: FirewallDuty = FILTER_ONLY): string {
  const ports = [HTTP_PORT, IPERF_PORT, HELD_PORT, ...(ftp ? [FTP_PORT] : [])];
  const primaries = plan.gateways.flatMap((gateway) => [gateway.addresses.external, gateway.addresses.internal]);
  return `table inet ${TABLE} {
  counter forward_invalid { }
  counter forward_refused { }
  counter input_invalid { }
  counter input_refused { }
${ftp ? FTP_HELPER : ""}${translationChains(plan, nat, gatewayId)}  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state invalid counter name "forward_invalid" drop
    ct state established,related accept
    ct state new tcp dport { ${ports.join(", ")} } accept
    ct state new udp dport ${ECHO_PORT} accept
    ct state new icmp type echo-request accept
    ct state new icmpv6 type echo-request accept
    meta l4proto tcp counter name "forward_refused"
  }
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    ct state invalid counter name "input_invalid" drop
    ip saddr { ${primaries.join(", ")} } udp dport ${RING_PORT} accept
    ip saddr { ${primaries.join(", ")} } tcp dport ${RING_PORT} accept
    icmp type echo-request accept
    icmpv6 type { echo-request, nd-neighbor-solicit, nd-neighbor-advert } accept
    ct state established,related accept
    meta l4proto tcp counter name "input_refused"
  }
}
`;
}

/** In front of the translation of addresses, which has to know that what a connection says is to be translated, too. */
const FTP_HELPER = `  ct helper ftp_control {
    type "ftp" protocol tcp;
  }
  chain helpers {
    type filter hook prerouting priority mangle; policy accept;
    tcp dport ${FTP_PORT} ct helper set "ftp_control"
  }
`;

/** Settings of a gateway's kernel that belong to a strict firewall. */
export const FIREWALL_SYSCTLS: Readonly<Record<string, number>> = {
  // A connection that is met in its middle is invalid, not picked up: else a stray packet would look like a good one.
  "net/netfilter/nf_conntrack_tcp_loose": 0,
};

export interface FirewallCounters {
  readonly forward_invalid: number;
  readonly forward_refused: number;
  readonly input_invalid: number;
  readonly input_refused: number;
}

const countersSchema = z.object({
  nftables: z.array(z.object({ counter: z.object({ name: z.string(), packets: z.number() }).optional() })),
});

/** Reads what `nft -j list counters` printed. */
export function parseCounters(json: string): FirewallCounters {
  const packets = new Map<string, number>();
  for (const { counter } of countersSchema.parse(JSON.parse(json)).nftables) {
    if (counter !== undefined) packets.set(counter.name, counter.packets);
  }
  const of = (name: keyof FirewallCounters) => packets.get(name) ?? 0;
  return {
    forward_invalid: of("forward_invalid"),
    forward_refused: of("forward_refused"),
    input_invalid: of("input_invalid"),
    input_refused: of("input_refused"),
  };
}

/** Lets in what is none of the layer's, such as `ip protocol 112`: in front of all other rules. */
export async function acceptInput(host: Host, match: string): Promise<void> {
  await host.run(["nft", "insert", "rule", "inet", TABLE, "input", ...match.split(" "), "accept"]);
}

/** In place of the one that is there, at one moment; the counters begin anew. */
export async function installFirewall(
  host: Host,
  plan: LabPlan,
  gatewayId: number,
  duty: FirewallDuty = FILTER_ONLY,
): Promise<void> {
  const replaced = `table inet ${TABLE} { }\ndelete table inet ${TABLE}\n`;
  const noNat = `table inet ${NAT_TABLE} { }\ndelete table inet ${NAT_TABLE}\n`;
  const translation = translationTable(plan, duty.nat, gatewayId) ?? "";
  await host.run(["nft", "-f", "-"], replaced + noNat + firewallRules(plan, gatewayId, duty) + translation);
  await host.sysctl(FIREWALL_SYSCTLS);
}

export async function readFirewall(host: Host): Promise<FirewallCounters> {
  return parseCounters(await host.run(["nft", "-j", "list", "counters", "table", "inet", TABLE]));
}

/** Packets that the firewall could not assign to any connection. */
export function invalidPackets(counters: FirewallCounters): number {
  return counters.forward_invalid + counters.input_invalid;
}

/** Packets that would have begun a TCP connection which is not allowed, or not here. */
export function refusedPackets(counters: FirewallCounters): number {
  return counters.forward_refused + counters.input_refused;
}

// A segment's NIC as the kernel has it, and what of it would keep the layer from working. Used by installer.ts and the doctor.

import { existsSync, readFileSync } from "node:fs";
import { z } from "zod";
import { familyOf } from "../config/address.js";
import type { Config, SegmentName } from "../config/config.js";
import { type ErrorCode, RainfrontError } from "../errors.js";
import { run } from "./command.js";

/** A slot of the port's rings holds frames of up to 2,016 bytes, Ethernet header included. */
const NIC_MTU_MAX = 2000;

/** The kernel takes the greater of the NIC's value and `all`'s. On the NIC it must answer and ask for its own addresses only: never for a VIP. */
export const ARP_SETTINGS: readonly ArpSetting[] = [
  { key: "arp_ignore", code: "RF_ARP_IGNORE", safe: [1, 2, 8], wanted: 1 },
  { key: "arp_announce", code: "RF_ARP_ANNOUNCE", safe: [2], wanted: 2 },
];

interface ArpSetting {
  readonly key: string;
  readonly code: ErrorCode;
  /** Effective values that will do. */
  readonly safe: readonly number[];
  /** What the NIC gets otherwise. */
  readonly wanted: number;
}

/** What is made on top of other interfaces, and has no driver of its own. */
export const STACKED_KINDS: ReadonlySet<string> = new Set(["vlan", "bridge"]);
/** What shares another interface with others, by their MACs or addresses: the front MAC's frames would not come by it. */
const SHARING_KINDS: ReadonlySet<string> = new Set(["macvlan", "macvtap", "ipvlan", "ipvtap"]);

const LinkInfo = z.array(
  z.object({
    ifname: z.string(),
    address: z.string().optional(),
    mtu: z.number(),
    flags: z.array(z.string()),
    ifalias: z.string().optional(),
    /** What it is a macvlan or a VLAN of; of a veth, its other end. */
    link: z.string().optional(),
    /** The bond or bridge that it is a part of. */
    master: z.string().optional(),
    /** `mode` 2 is generic. Without CAP_SYS_ADMIN a program has no name. */
    xdp: z
      .object({
        mode: z.number().optional(),
        prog: z.object({ id: z.number(), name: z.string().optional() }).optional(),
      })
      .optional(),
    /** What it is (`bond`, `vlan`), and what it is a part of (`bridge`). */
    linkinfo: z
      .object({
        info_kind: z.string().optional(),
        info_slave_kind: z.string().optional(),
        /** Of a bond. */
        info_data: z.object({ mode: z.string().optional().catch(undefined) }).optional(),
      })
      .optional(),
    addr_info: z
      .array(
        z.object({
          family: z.string(),
          local: z.string(),
          scope: z.string().optional(),
          dynamic: z.boolean().optional(),
        }),
      )
      .optional(),
  }),
);
export type Link = z.infer<typeof LinkInfo>[number];

/** Why the layer cannot work on it: `RF_NIC_*` or `RF_ARP_*`, with its fix. */
export async function nicProblem(config: Config, name: SegmentName): Promise<RainfrontError | undefined> {
  const nic = config.segments[name].interface;
  const address = config.node.addresses[name];
  const link = await findLink(nic);
  if (link === undefined) {
    return new RainfrontError("RF_NIC_MISSING", `segments.${name}.interface: there is no interface ${nic}`, {
      fix: "name an interface that `ip link` shows",
    });
  }
  const kind = link.linkinfo?.info_kind ?? "";
  if (SHARING_KINDS.has(kind)) {
    return new RainfrontError(
      "RF_NIC_KIND",
      `segments.${name}.interface: ${nic} is a ${kind}, which gets no frames for another MAC`,
      {
        fix: "name the interface below it, or a VLAN, a bond or a bridge",
      },
    );
  }
  if (!link.flags.includes("UP")) {
    return new RainfrontError("RF_NIC_DOWN", `segments.${name}.interface: ${nic} is down`, {
      fix: `ip link set ${nic} up`,
    });
  }
  if (!(link.addr_info ?? []).some((entry) => entry.local === address)) {
    return new RainfrontError("RF_NIC_ADDRESS", `${nic} does not have this node's primary address ${address}`, {
      fix: `ip address add ${address}/${config.segments[name].prefixLength} dev ${nic}, or correct nodes[].addresses.${name}`,
    });
  }
  if (link.mtu > NIC_MTU_MAX) {
    return new RainfrontError("RF_NIC_MTU", `${nic} has MTU ${link.mtu}, at most ${NIC_MTU_MAX} is supported`, {
      fix: `ip link set ${nic} mtu 1500`,
    });
  }
  if (hasIpv6Vips(config, name) && readSysctl(`ipv6/conf/${nic}/disable_ipv6`) !== "0") {
    return new RainfrontError("RF_NIC_IPV6", `segment ${name} has IPv6 VIPs, and IPv6 is off on ${nic}`, {
      fix: `sysctl -w net/ipv6/conf/${nic}/disable_ipv6=0 (a kernel with ipv6.disable=1 must be started without)`,
    });
  }
  return ARP_SETTINGS.map(arpProblem).find((problem) => problem !== undefined);
}

/** Takes a program off; without the mode's name, iproute2 looks in the driver's place only. */
export function xdpOff(nic: string, isGeneric: boolean): string {
  return `ip link set dev ${nic} ${isGeneric ? "xdpgeneric" : "xdp"} off`;
}

export function hasIpv6Vips({ vips }: Config, name: SegmentName): boolean {
  return vips.some(({ segment, address }) => segment === name && familyOf(address) === 6);
}

export async function findLink(name: string): Promise<Link | undefined> {
  return (await listLinks()).find((link) => link.ifname === name);
}

async function listLinks(): Promise<readonly Link[]> {
  return LinkInfo.parse(JSON.parse((await run("ip", ["-details", "-json", "address", "show"])) || "[]"));
}

/** `name` and all that its frames come in by: the parts of a bond or a bridge, what a VLAN is of; and so on down. */
export async function devicesBelow(name: string): Promise<readonly string[]> {
  const links = await listLinks();
  const found = new Set([name]);
  // A set may grow while it is gone through.
  for (const upper of found) {
    const link = links.find(({ ifname }) => ifname === upper);
    if (link?.link !== undefined && link.linkinfo?.info_kind === "vlan") found.add(link.link);
    for (const { ifname, master } of links) if (master === upper) found.add(ifname);
  }
  return [...found];
}

function arpProblem({ key, code, safe, wanted }: ArpSetting): RainfrontError | undefined {
  const all = arpValue("all", key);
  if (safe.includes(Math.max(all, wanted))) return undefined;
  return new RainfrontError(code, `net.ipv4.conf.all.${key} is ${all}, which holds for every NIC and cannot be used`, {
    fix: `sysctl -w net.ipv4.conf.all.${key}=0`,
  });
}

export function arpValue(nic: string, key: string): number {
  return Number(readSysctl(`ipv4/conf/${nic}/${key}`) ?? 0);
}

export function readSysctl(key: string): string | undefined {
  const path = `/proc/sys/net/${key}`;
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}

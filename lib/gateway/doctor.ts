// Is this machine fit to be a node? Looks at what the layer stands on and changes nothing. Used by `rainfront doctor`; what is wrong enough to keep a
// node from starting is checked at `up`, too (nic.ts, backend.ts), and what is a warning is logged there.

import { readlinkSync } from "node:fs";
import { basename } from "node:path";
import { type Config, SEGMENT_NAMES, type SegmentName } from "../config/config.js";
import { parseCidr6, parseIpv6 } from "../config/ipv6.js";
import { RainfrontError } from "../errors.js";
import { type NativeAddon, type NativeXdp, OFFLOAD_LRO } from "../native.js";
import { frontMac } from "../steering/frontMac.js";
import { whyNoXdp } from "./backend.js";
import { machineFindings } from "./machineFindings.js";
import { findLink, hasIpv6Vips, nicProblem, readSysctl, STACKED_KINDS } from "./nic.js";
import { checkPrivilege } from "./privilege.js";

/** From good to bad: `note` is to be known, `warning` to be mended, `error` keeps the node from serving. */
export type FindingLevel = "ok" | "note" | "warning" | "error";

export interface Finding {
  /** What was looked at, such as `nic external`. */
  readonly check: string;
  readonly level: FindingLevel;
  readonly message: string;
  readonly fix?: string;
}

const VIRTUAL_FUNCTION = "on its host: ip link set PHYSICAL-NIC vf NUMBER trust on spoofchk off (SR-IOV)";
/** By a NIC's driver: what lets other MACs through. */
const HOST_PERMISSIONS: ReadonlyMap<string, string> = new Map([
  ["virtio_net", "with libvirt: trustGuestRxFilters='yes' on the interface, and no clean-traffic filter"],
  ["vmxnet3", "in the port group's security policy: accept promiscuous mode, MAC address changes and forged transmits"],
  ["hv_netvsc", "Set-VMNetworkAdapter -MacAddressSpoofing On"],
  ["iavf", VIRTUAL_FUNCTION],
  ["i40evf", VIRTUAL_FUNCTION],
  ["ixgbevf", VIRTUAL_FUNCTION],
  ["igbvf", VIRTUAL_FUNCTION],
  ["ena", "clouds that route by address know no VIPs of other MACs: use a network that bridges"],
]);
const SURVEY_PATIENCE_MS = 400;

interface NativeDrivers extends Pick<NativeAddon, "readOffloads"> {
  readonly xdp?: Pick<NativeXdp, "driverRuns">;
}
type Native = Pick<NativeAddon, "xdp" | "survey" | "readOffloads" | "lockMappedFiles">;

/** All findings, in the order of the checks. Does not throw for what it finds. */
export async function examine(config: Config, native: Native): Promise<readonly Finding[]> {
  const whyNot = config.backend === "af_packet" ? undefined : await whyNoXdp(config, native);
  const usesXdp = config.backend !== "af_packet" && whyNot === undefined;
  const findings: Finding[] = [privilege(), backend(config, whyNot), ...machineFindings(config, native)];
  for (const segment of SEGMENT_NAMES) findings.push(...(await segmentFindings(config, segment, native, usesXdp)));
  return findings;
}

/** What a node that starts all the same should say in its log. */
export async function warnings(
  config: Config,
  native: Pick<Native, "readOffloads" | "lockMappedFiles">,
): Promise<readonly Finding[]> {
  const findings = [...machineFindings(config, native)];
  for (const segment of SEGMENT_NAMES) findings.push(...(await nicFindings(config, segment, native)));
  return findings.filter(({ level }) => level === "warning");
}

async function segmentFindings(
  config: Config,
  segment: SegmentName,
  native: Native,
  usesXdp: boolean,
): Promise<readonly Finding[]> {
  const check = `nic ${segment}`;
  const nic = config.segments[segment].interface;
  const problem = await nicProblem(config, segment);
  if (problem !== undefined) return [refusal(check, problem)];
  const address = config.node.addresses[segment];
  const { mtu, linkinfo } = (await findLink(nic)) ?? {};
  const hasDriver = !STACKED_KINDS.has(linkinfo?.info_kind ?? "");
  return [
    { check, level: "ok", message: `${nic} is up, has ${address} and MTU ${mtu}` },
    ...(await nicFindings(config, segment, native)),
    ...(usesXdp && hasDriver ? driverPrograms(nic, check, native) : []),
    await speakers(config, segment, native),
  ];
}

async function nicFindings(
  config: Config,
  segment: SegmentName,
  native: Pick<Native, "readOffloads">,
): Promise<readonly Finding[]> {
  const check = `nic ${segment}`;
  const nic = config.segments[segment].interface;
  return [
    ...(await kindOf(config, nic, check)),
    ...merging(nic, check, native),
    forwarding(nic, check),
    reversePath(nic, check),
    ...(hasIpv6Vips(config, segment) ? [forwarding6(nic, check), ...(await addresses6(config, segment, check))] : []),
  ];
}

function privilege(): Finding {
  const check = "privilege";
  try {
    checkPrivilege();
    return { check, level: "ok", message: "may change interfaces and open packet sockets" };
  } catch (error) {
    return refusal(check, error);
  }
}

function backend(config: Config, whyNoXdp: Error | undefined): Finding {
  const check = "backend";
  if (config.backend === "af_packet") return { check, level: "ok", message: "af_packet" };
  if (whyNoXdp === undefined) return { check, level: "ok", message: "xdp" };
  const found = refusal(check, whyNoXdp);
  return config.backend === "auto" ? { ...found, level: "note" } : found;
}

/** What stands behind the name. */
async function kindOf(config: Config, nic: string, check: string): Promise<readonly Finding[]> {
  const { info_kind, info_slave_kind } = (await findLink(nic))?.linkinfo ?? {};
  const findings: Finding[] = [];
  if (info_slave_kind === "bridge") {
    findings.push({
      check,
      level: "error",
      message: `${nic} is a port of a bridge, which takes its frames`,
      fix: "name the bridge as the segment's interface, or take the NIC out of it",
    });
  }
  const mayBeXdp = config.backend !== "af_packet";
  if (mayBeXdp && info_kind === "bond") {
    findings.push({
      check,
      level: "note",
      message: `${nic} is a bond; XDP runs on it where the drivers of all its NICs can, and rightly where all are in use (with 802.3ad: in one aggregator)`,
    });
  }
  if (mayBeXdp && info_kind !== undefined && STACKED_KINDS.has(info_kind)) {
    findings.push({
      check,
      level: "note",
      message: `${nic} is a ${info_kind}, which has no driver: XDP runs behind those of the NICs below it, and slower`,
      fix: "name a NIC as the segment's interface, and its VLAN as an access port of the switch, or set backend: af_packet",
    });
  }
  const driver = link(`/sys/class/net/${nic}/device/driver`);
  // Where its physical NIC is in the same kernel: the driver may be one for both.
  const isVirtualFunction = link(`/sys/class/net/${nic}/device/physfn`) !== undefined;
  if (driver !== undefined) findings.push(...driverFindings(basename(driver), nic, check, isVirtualFunction));
  return findings;
}

/** Whether what frames come in by runs programs itself, where the kernel says so. Drivers that cannot while they merge (LRO) are asked too soon: that will be off. */
export function driverPrograms(nic: string, check: string, native: NativeDrivers): readonly Finding[] {
  const runs = native.xdp?.driverRuns(nic);
  if (runs === undefined) return [];
  if (runs) return [{ check, level: "ok", message: `${nic} runs XDP programs in its driver` }];
  if ((native.readOffloads(nic) & OFFLOAD_LRO) !== 0) return [];
  return [
    {
      check,
      level: "note",
      message: `${nic} runs no XDP programs in its driver as it is set up: they run behind it, and slower`,
      fix: `fewer queues may do (ethtool -L ${nic}); else use a NIC whose driver runs them, or set backend: af_packet`,
    },
  ];
}

/** Of virtual machines, whose hosts let through no other MAC than the NIC's own unless they are told to. Pure. */
export function driverFindings(
  driver: string,
  nic: string,
  check: string,
  isVirtualFunction = false,
): readonly Finding[] {
  const ok: Finding = { check, level: "ok", message: `driver ${driver}` };
  const permission = HOST_PERMISSIONS.get(driver) ?? (isVirtualFunction ? VIRTUAL_FUNCTION : undefined);
  if (permission === undefined) return [ok];
  return [
    ok,
    {
      check,
      level: "note",
      message: `${nic} is virtual: VIPs have a MAC of their own (02:…), which its host must let in and out`,
      fix: permission,
    },
  ];
}

/** The kernel takes the greater of `all`'s value and the interface's: 2 is loose, and answers leave by another interface than questions came in by. */
function reversePath(nic: string, check: string): Finding {
  const value = Math.max(
    Number(readSysctl("ipv4/conf/all/rp_filter") ?? 0),
    Number(readSysctl(`ipv4/conf/${nic}/rp_filter`) ?? 0),
  );
  if (value !== 1) return { check, level: "ok", message: `reverse path filter ${value === 0 ? "off" : "loose"}` };
  return {
    check,
    level: "note",
    message: `the reverse path filter is strict on ${nic}; on the layer's own interface it is made loose`,
    fix: `if clients are reached by another way than they come: sysctl -w net/ipv4/conf/${nic}/rp_filter=2`,
  };
}

function merging(nic: string, check: string, native: Pick<Native, "readOffloads">): readonly Finding[] {
  if ((native.readOffloads(nic) & OFFLOAD_LRO) === 0) return [];
  return [{ check, level: "note", message: `LRO of ${nic} will be off while the node runs` }];
}

function forwarding(nic: string, check: string): Finding {
  if (readSysctl(`ipv4/conf/${nic}/forwarding`) === "1") return { check, level: "ok", message: "forwards IPv4" };
  return {
    check,
    level: "warning",
    message: `this machine does not forward IPv4 that comes in by ${nic}`,
    fix: "sysctl -w net.ipv4.ip_forward=1, and keep it in /etc/sysctl.d",
  };
}

/** Of IPv6 the kernel forwards by the value for all interfaces; newer ones also by that of the NIC that a packet came in by. */
function forwarding6(nic: string, check: string): Finding {
  const isOn =
    readSysctl("ipv6/conf/all/forwarding") === "1" || readSysctl(`ipv6/conf/${nic}/force_forwarding`) === "1";
  if (isOn) return { check, level: "ok", message: "forwards IPv6" };
  return {
    check,
    level: "warning",
    message: `this machine does not forward IPv6 that comes in by ${nic}`,
    fix: "sysctl -w net.ipv6.conf.all.forwarding=1, and keep it in /etc/sysctl.d",
  };
}

/** Packets leave by the NIC: it needs an address of its own in the segment's IPv6 network, and must keep it. */
async function addresses6(config: Config, segment: SegmentName, check: string): Promise<readonly Finding[]> {
  const { interface: nic, subnet6 = "" } = config.segments[segment];
  const network = parseCidr6(subnet6)?.subnet;
  const own = ((await findLink(nic))?.addr_info ?? []).find(({ family, local }) => {
    const address = family === "inet6" ? parseIpv6(local) : undefined;
    return address !== undefined && network !== undefined && address >= network.network && address <= network.last;
  });
  if (own === undefined) {
    return [
      {
        check,
        level: "warning",
        message: `${nic} has no address in ${subnet6}: hosts there may not be reached`,
        fix: `ip address add ADDRESS/${network?.prefixLength} dev ${nic}`,
      },
    ];
  }
  const takesAdvertisements = readSysctl(`ipv6/conf/${nic}/accept_ra`);
  const forwards = readSysctl(`ipv6/conf/${nic}/forwarding`) === "1";
  if (own.dynamic === true && forwards && takesAdvertisements !== "2") {
    return [
      {
        check,
        level: "warning",
        message: `${nic} has ${own.local} by a router's advertisement, and will lose it: who forwards takes none`,
        fix: `give ${nic} a static address, or sysctl -w net/ipv6/conf/${nic}/accept_ra=2`,
      },
    ];
  }
  return [{ check, level: "ok", message: `${nic} has ${own.local}` }];
}

/** Machines outside of the layer that answer for one of its VIPs. */
async function speakers(config: Config, segment: SegmentName, native: Native): Promise<Finding> {
  const check = `vips ${segment}`;
  const nic = config.segments[segment].interface;
  const vips = config.vips.filter((vip) => vip.segment === segment).map(({ address }) => address);
  const own = (await findLink(nic))?.address;
  if (vips.length === 0 || own === undefined) return { check, level: "note", message: "no VIPs on this segment" };
  try {
    const answers = native.survey({ nic, mac: own, addresses: vips, patience_ms: SURVEY_PATIENCE_MS });
    const ours = new Set(config.nodes.map(({ id }) => frontMac(config.cluster, segment, id)));
    const foreign = answers.filter(({ mac }) => !ours.has(mac));
    if (foreign.length === 0) return { check, level: "ok", message: `nobody else answers for the ${vips.length} VIPs` };
    const list = foreign.map(({ address, mac }) => `${address} (${mac})`).join(", ");
    return {
      check,
      level: "error",
      message: `another machine answers for ${list}`,
      fix: "take the address off that machine, or choose another VIP",
    };
  } catch (error) {
    return refusal(check, error);
  }
}

function refusal(check: string, error: unknown): Finding {
  const message = error instanceof Error ? error.message : String(error);
  const fix = error instanceof RainfrontError ? error.fix : undefined;
  return fix === undefined ? { check, level: "error", message } : { check, level: "error", message, fix };
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

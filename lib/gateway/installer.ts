// Puts the layer's interfaces and settings on this machine and takes them off again. Every VIP is configured on every node, on an
// interface of our own, so nothing in the operating system changes when a VIP moves (WO 01/35601, figure 15).

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Logger } from "pino";
import { z } from "zod";
import { type Config, SEGMENT_NAMES, type SegmentName } from "../config/config.js";
import { type ErrorCode, RainfrontError } from "../errors.js";
import { type NativeAddon, OFFLOAD_RECEIVE_MERGE, OFFLOAD_TRANSMIT, type PortBackend } from "../native.js";
import { frontMac } from "../steering/frontMac.js";
import { ipBatch, run } from "./command.js";
import { Journal, type JournalEntry } from "./journal.js";
import { INTERFACE_ALIAS, innerInterface, outerInterface } from "./names.js";

const CAP_NET_ADMIN = 12n;
const CAP_NET_RAW = 13n;

/** A slot of the port's rings holds frames of up to 2,016 bytes, Ethernet header included. */
const NIC_MTU_MAX = 2000;

/** The kernel takes the greater of the NIC's value and `all`'s. On the NIC it must answer and ask for its own addresses only: never for a VIP. */
const ARP_SETTINGS: readonly ArpSetting[] = [
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

const LinkInfo = z.array(
  z.object({
    ifname: z.string(),
    address: z.string().optional(),
    mtu: z.number(),
    flags: z.array(z.string()),
    ifalias: z.string().optional(),
    addr_info: z.array(z.object({ family: z.string(), local: z.string() })).optional(),
  }),
);
type Link = z.infer<typeof LinkInfo>[number];

export class Installer {
  readonly #config: Config;
  readonly #native: NativeAddon;
  readonly #log: Logger;
  readonly #journal: Journal;

  constructor(config: Config, native: NativeAddon, log: Logger) {
    this.#config = config;
    this.#native = native;
    this.#log = log;
    this.#journal = new Journal(config.stateDir);
  }

  /** Throws `RF_NIC_*`, `RF_ARP_*` or `RF_INTERFACE_TAKEN`; changes nothing. After `removeLeftovers`. */
  async check(): Promise<void> {
    for (const name of SEGMENT_NAMES) {
      await this.#checkNic(name);
      for (const own of [innerInterface(name), outerInterface(name)]) {
        if ((await findLink(own)) !== undefined) {
          throw new RainfrontError("RF_INTERFACE_TAKEN", `an interface ${own} exists that Rainfront did not make`, {
            fix: `rename or delete it (ip link del ${own})`,
          });
        }
      }
    }
  }

  async #checkNic(name: SegmentName): Promise<void> {
    const nic = this.#config.segments[name].interface;
    const address = this.#config.node.addresses[name];
    const link = await findLink(nic);
    if (link === undefined) {
      throw new RainfrontError("RF_NIC_MISSING", `segments.${name}.interface: there is no interface ${nic}`, {
        fix: "name an interface that `ip link` shows",
      });
    }
    if (!link.flags.includes("UP")) {
      throw new RainfrontError("RF_NIC_DOWN", `segments.${name}.interface: ${nic} is down`, {
        fix: `ip link set ${nic} up`,
      });
    }
    if (!(link.addr_info ?? []).some((entry) => entry.local === address)) {
      throw new RainfrontError("RF_NIC_ADDRESS", `${nic} does not have this node's primary address ${address}`, {
        fix: `ip address add ${address}/${this.#config.segments[name].prefixLength} dev ${nic}, or correct nodes[].addresses.${name}`,
      });
    }
    if (link.mtu > NIC_MTU_MAX) {
      throw new RainfrontError("RF_NIC_MTU", `${nic} has MTU ${link.mtu}, at most ${NIC_MTU_MAX} is supported`, {
        fix: `ip link set ${nic} mtu 1500`,
      });
    }
    for (const setting of ARP_SETTINGS) checkArp(setting);
  }

  /** Undoes what an earlier daemon left behind. True when there was something. */
  async removeLeftovers(): Promise<boolean> {
    let found = this.#journal.takeOver();
    await this.uninstall();
    found = this.#detachStrays() || found;
    // A daemon with another state folder may have been killed here.
    for (const name of SEGMENT_NAMES) {
      const inner = innerInterface(name);
      if (this.#isOurs(await findLink(inner))) {
        await run("ip", ["link", "del", inner]);
        found = true;
      }
    }
    return found;
  }

  /** Installs everything. When it throws, `uninstall` undoes what was done until then. */
  async install(backend: PortBackend): Promise<void> {
    for (const name of SEGMENT_NAMES) await this.#installSegment(name, backend);
  }

  /** Undoes all that the journal has. What fails is logged, stays in the journal and does not keep the rest; true when nothing failed. */
  async uninstall(): Promise<boolean> {
    const { links, sysctls, offloads, programs } = this.#journal.content;
    let clean = true;
    const attempt = async (entry: JournalEntry, undo: () => Promise<void> | void) => {
      try {
        await undo();
        this.#journal.forget(entry);
      } catch (error) {
        clean = false;
        this.#log.error({ entry, err: error }, "could not be undone");
      }
    };
    for (const entry of programs) await attempt(entry, () => void this.#detach(entry.nic));
    for (const name of links) await attempt(name, () => this.#removeLink(name));
    for (const entry of sysctls) {
      await attempt(entry, () => {
        if (existsSync(entry.path)) writeFileSync(entry.path, entry.previous); // gone with its NIC otherwise
      });
    }
    for (const entry of offloads) {
      await attempt(entry, async () => {
        if ((await findLink(entry.nic)) === undefined) return;
        this.#native.writeOffloads(entry.nic, OFFLOAD_RECEIVE_MERGE, entry.previous);
      });
    }
    return clean;
  }

  /** Of an earlier daemon, or of this one if its thread broke down. False: there was none of ours. */
  #detach(nic: string): boolean {
    return existsSync(`/sys/class/net/${nic}`) && this.#native.xdp?.detach(nic) === true;
  }

  /** A daemon with another state folder may have been killed here. */
  #detachStrays(): boolean {
    const nics = SEGMENT_NAMES.map((name) => this.#config.segments[name].interface);
    return nics.filter((nic) => this.#detach(nic)).length > 0;
  }

  async #removeLink(name: string): Promise<void> {
    if (this.#isOurs(await findLink(name))) await run("ip", ["link", "del", name]);
  }

  /** By its alias, or, when its daemon was killed before it could set that, by the front MAC. */
  #isOurs(link: Link | undefined): boolean {
    if (link === undefined) return false;
    const macs = SEGMENT_NAMES.map((name) => frontMac(this.#config.cluster, name, this.#config.node.id));
    return link.ifalias === INTERFACE_ALIAS || (link.address !== undefined && macs.includes(link.address));
  }

  async #installSegment(name: SegmentName, backend: PortBackend): Promise<void> {
    const nic = this.#config.segments[name].interface;
    const inner = innerInterface(name);
    this.#journal.addLink(inner);
    if (backend === "xdp") await this.#addMacvlan(name);
    else await this.#addPair(name);
    this.#set(`ipv6/conf/${inner}/disable_ipv6`, "1", "own");
    // Answers leave by the NIC, so the reverse path of what comes in here is another interface: loose, not strict.
    this.#set(`ipv4/conf/${inner}/rp_filter`, "2", "own");
    this.#set(`ipv4/conf/${inner}/forwarding`, readSysctl(`ipv4/conf/${nic}/forwarding`) ?? "1", "own");
    for (const { key, safe, wanted } of ARP_SETTINGS) {
      const own = `ipv4/conf/${nic}/${key}`;
      if (!safe.includes(Math.max(arpValue("all", key), arpValue(nic, key)))) this.#set(own, String(wanted), "restore");
    }
    const vips = this.#config.vips.filter((vip) => vip.segment === name);
    await ipBatch([`link set ${inner} up`, ...vips.map((vip) => `address add ${vip.address}/32 dev ${inner}`)]);
  }

  /** The NIC gives the kernel what the XDP program lets pass to the front MAC, and nobody hears of the interface by ARP. */
  async #addMacvlan(name: SegmentName): Promise<void> {
    const nic = this.#config.segments[name].interface;
    const inner = innerInterface(name);
    const mac = frontMac(this.#config.cluster, name, this.#config.node.id);
    this.#journal.addProgram(nic);
    await ipBatch([
      `link add link ${nic} name ${inner} address ${mac} type macvlan mode private`,
      `link set ${inner} alias ${INTERFACE_ALIAS}`,
      `link set ${inner} arp off`,
    ]);
  }

  /** What the rings take from the NIC goes into the kernel by a veth pair. */
  async #addPair(name: SegmentName): Promise<void> {
    const nic = this.#config.segments[name].interface;
    const inner = innerInterface(name);
    const outer = outerInterface(name);
    const mac = frontMac(this.#config.cluster, name, this.#config.node.id);
    const mtu = (await findLink(nic))?.mtu ?? 1500;
    await ipBatch([
      `link add ${inner} address ${mac} mtu ${mtu} type veth peer name ${outer} mtu ${mtu}`,
      `link set ${inner} alias ${INTERFACE_ALIAS}`,
      `link set ${outer} alias ${INTERFACE_ALIAS}`,
    ]);
    this.#set(`ipv6/conf/${outer}/disable_ipv6`, "1", "own");
    await ipBatch([`link set ${outer} up`]);
    // The rings must see frames as they are on the wire.
    this.#native.writeOffloads(inner, OFFLOAD_TRANSMIT, 0);
    this.#journal.addOffloads(nic, this.#native.readOffloads(nic));
    this.#stopReceiveMerging(nic);
  }

  #stopReceiveMerging(nic: string): void {
    const on = this.#native.writeOffloads(nic, OFFLOAD_RECEIVE_MERGE, 0) & OFFLOAD_RECEIVE_MERGE;
    if (on === 0) return;
    const features = [
      (on & 1) === 0 ? [] : "generic-receive-offload",
      (on & 2) === 0 ? [] : "large-receive-offload",
    ].flat();
    this.#log.warn({ nic, features }, "the driver merges received frames; merged ones that exceed the MTU are dropped");
  }

  /** `own` = a setting of an interface of ours, which goes when the interface goes. */
  #set(key: string, value: string, after: "own" | "restore"): void {
    const path = `/proc/sys/net/${key}`;
    if (!existsSync(path)) return; // a kernel without IPv6
    if (after === "restore") this.#journal.addSysctl(path, readFileSync(path, "utf8").trim());
    writeFileSync(path, value);
  }
}

/** Throws `RF_NO_PRIVILEGE`. */
export function checkPrivilege(): void {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  const capabilities = BigInt(`0x${effective}`);
  for (const [name, bit] of [
    ["CAP_NET_ADMIN", CAP_NET_ADMIN],
    ["CAP_NET_RAW", CAP_NET_RAW],
  ] as const) {
    if ((capabilities & (1n << bit)) === 0n) {
      throw new RainfrontError("RF_NO_PRIVILEGE", `this process lacks ${name}`, {
        fix: "run as root, or give the service CAP_NET_ADMIN and CAP_NET_RAW",
      });
    }
  }
}

async function findLink(name: string): Promise<Link | undefined> {
  const links = LinkInfo.parse(JSON.parse((await run("ip", ["-json", "address", "show"])) || "[]"));
  return links.find((link) => link.ifname === name);
}

function checkArp({ key, code, safe, wanted }: ArpSetting): void {
  const all = arpValue("all", key);
  if (safe.includes(Math.max(all, wanted))) return;
  throw new RainfrontError(code, `net.ipv4.conf.all.${key} is ${all}, which holds for every NIC and cannot be used`, {
    fix: `sysctl -w net.ipv4.conf.all.${key}=0`,
  });
}

function arpValue(nic: string, key: string): number {
  return Number(readSysctl(`ipv4/conf/${nic}/${key}`) ?? 0);
}

function readSysctl(key: string): string | undefined {
  const path = `/proc/sys/net/${key}`;
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}

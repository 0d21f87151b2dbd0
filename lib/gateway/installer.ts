// Puts the layer's interfaces and settings on this machine and takes them off again. Every VIP is configured on every node, on an
// interface of our own, so nothing in the operating system changes when a VIP moves (WO 01/35601, figure 15).

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Logger } from "pino";
import { familyOf, hostPrefixLength } from "../config/address.js";
import { type Config, SEGMENT_NAMES, type SegmentName } from "../config/config.js";
import { formatIpv6, parseIpv6, SOLICITED_NODE, solicitedNodeGroup } from "../config/ipv6.js";
import { RainfrontError } from "../errors.js";
import { type NativeAddon, OFFLOAD_TRANSMIT, type PortBackend } from "../native.js";
import { frontMac } from "../steering/frontMac.js";
import { awayFor_ms } from "./away.js";
import { ipBatch, run } from "./command.js";
import { Journal, type JournalEntry } from "./journal.js";
import { deafInterface, INTERFACE_ALIAS, innerInterface, outerInterface, XDP_PROGRAM } from "./names.js";
import { ARP_SETTINGS, arpValue, findLink, hasIpv6Vips, type Link, nicProblem, readSysctl, xdpOff } from "./nic.js";
import { NicFeatures } from "./nicFeatures.js";

/** Of the interface that the layer's IPv6 packets come by: it has no addresses but what it is given, and says nothing by itself. */
const QUIET_IPV6 = {
  accept_ra: "0",
  accept_redirects: "0",
  autoconf: "0",
  accept_dad: "0",
  dad_transmits: "0",
  ndisc_notify: "0",
  router_solicitations: "0",
} as const;
/** Values of addr_gen_mode. */
const LINK_LOCAL_OF_MAC = "0";
const NO_LINK_LOCAL = "1";

export class Installer {
  readonly #config: Config;
  readonly #native: NativeAddon;
  readonly #log: Logger;
  readonly #journal: Journal;
  readonly #features: NicFeatures;
  /** The interfaces of an earlier daemon are there, and stay. */
  #goesOn = false;

  constructor(config: Config, native: NativeAddon, log: Logger) {
    this.#config = config;
    this.#native = native;
    this.#log = log;
    this.#journal = new Journal(config.stateDir);
    this.#features = new NicFeatures(this.#journal, native, log);
  }

  /** Throws `RF_NIC_*`, `RF_ARP_*` or `RF_INTERFACE_TAKEN`; changes nothing. After `takeLeftovers`. */
  async check(): Promise<void> {
    for (const name of SEGMENT_NAMES) {
      const problem = await nicProblem(this.#config, name);
      if (problem !== undefined) throw problem;
      for (const own of [innerInterface(name), outerInterface(name), deafInterface(name)]) {
        if (this.#goesOn && this.#isOurs(await findLink(own))) continue;
        if ((await findLink(own)) !== undefined) {
          throw new RainfrontError("RF_INTERFACE_TAKEN", `an interface ${own} exists that Rainfront did not make`, {
            fix: `rename or delete it (ip link del ${own})`,
          });
        }
      }
    }
  }

  /**
   * What an earlier daemon left behind goes, unless it is what this one would install, and XDP programs that may serve at this moment: that is gone
   * on with.
   */
  async takeLeftovers(backend: PortBackend): Promise<"none" | "removed" | "kept"> {
    const found = this.#journal.takeOver();
    // Until more is known: whatever goes wrong meanwhile, what is not ours is not torn down.
    this.#goesOn = found && backend === "xdp";
    if (this.#goesOn) this.#goesOn = await this.#isWhole();
    if (this.#goesOn) return "kept";
    return (await this.#removeLeftovers(found)) ? "removed" : "none";
  }

  /** Our program is on every NIC, with our macvlan behind it. */
  async #isWhole(): Promise<boolean> {
    for (const name of SEGMENT_NAMES) {
      const nic = this.#config.segments[name].interface;
      const inner = await findLink(innerInterface(name));
      const isOurs =
        inner?.ifalias === INTERFACE_ALIAS && inner.linkinfo?.info_kind === "macvlan" && inner.link === nic;
      const mac = frontMac(this.#config.cluster, name, this.#config.node.id);
      if (!isOurs || inner.address !== mac || this.#native.xdp?.attached(nic)?.isOurs !== true) return false;
      if (!this.#hadProgram(nic)) return false;
    }
    return true;
  }

  /** For how long (ms) what was taken over serves by itself, for a daemon that is away; 0: it does not. */
  awayFor_ms(): number {
    return this.#goesOn ? awayFor_ms(this.#config, this.#native) : 0;
  }

  /** Nothing is installed as far as is known. */
  get isClean(): boolean {
    return Object.values(this.#journal.content).every((entries) => entries.length === 0);
  }

  async #removeLeftovers(left: boolean): Promise<boolean> {
    let found = left;
    await this.#takeInnerDown();
    await this.uninstall();
    found = (await this.#detachStrays()) || found;
    // A daemon with another state folder may have been killed here.
    for (const name of SEGMENT_NAMES.flatMap((segment) => [innerInterface(segment), outerInterface(segment)])) {
      if (this.#isOurs(await findLink(name))) {
        await run("ip", ["link", "del", name]);
        found = true;
      }
    }
    return found;
  }

  /** Installs everything. When it throws, `uninstall` undoes what was done until then. */
  async install(backend: PortBackend): Promise<void> {
    for (const name of SEGMENT_NAMES) await this.#installSegment(name, backend);
  }

  /**
   * The macvlan takes what the program lets pass, so it is up only while the program is on the NIC: without one, the kernel would take everybody's packets
   * for its own. After the ports are open. The ring is at work: no process is started for this.
   */
  letIn(): void {
    for (const name of SEGMENT_NAMES) this.#native.setLinkUp(innerInterface(name), true);
  }

  /** What the kernel's generic place shows an XDP program may have been merged by the NICs below. */
  showWhole(name: SegmentName): void {
    this.#features.stopReceiveMerging(this.#config.segments[name].interface);
  }

  /** The program was put on anew: the NIC's features may have been changed meanwhile. */
  fitForProgram(name: SegmentName): void {
    this.#features.fitForProgram(this.#config.segments[name].interface);
  }

  /** Before the ports are closed. What this process has not installed or taken over is left as it is. */
  async shutOut(): Promise<void> {
    if (!this.isClean) await this.#takeInnerDown();
  }

  async #takeInnerDown(): Promise<void> {
    for (const name of SEGMENT_NAMES.map(innerInterface)) {
      if (this.#isOurs(await findLink(name))) await run("ip", ["link", "set", name, "down"]);
    }
  }

  /** Undoes all that the journal has. What fails is logged, stays in the journal and does not keep the rest; true when nothing failed. */
  async uninstall(): Promise<boolean> {
    const { links, sysctls, offloads, programs, groups } = this.#journal.content;
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
    for (const entry of programs) await attempt(entry, async () => void (await this.#detach(entry.nic)));
    for (const entry of groups) await attempt(entry, () => leaveGroup(entry));
    for (const name of links) await attempt(name, () => this.#removeLink(name));
    for (const entry of sysctls) {
      await attempt(entry, () => {
        if (existsSync(entry.path)) writeFileSync(entry.path, entry.previous); // gone with its NIC otherwise
      });
    }
    for (const entry of offloads) await attempt(entry, () => this.#features.restore(entry));
    return clean;
  }

  /** Of an earlier daemon, or of this one if its thread broke down. False: there was none of ours. Throws `RF_XDP_MISSING`. */
  async #detach(nic: string): Promise<boolean> {
    const link = await findLink(nic);
    if (link === undefined) return false;
    if (this.#native.xdp !== undefined) return this.#native.xdp.detach(nic);
    const prog = link.xdp?.prog;
    // Who may not look at programs is told no name.
    const isOurs = prog?.name === undefined ? this.#hadProgram(nic) : prog.name === XDP_PROGRAM;
    if (prog === undefined || !isOurs) return false;
    throw new RainfrontError(
      "RF_XDP_MISSING",
      `${nic} runs an earlier daemon's XDP program, and this addon was built without what could take it off`,
      {
        // Without its program, nothing keeps packets of other nodes' flows from the macvlan.
        fix: `${SEGMENT_NAMES.map((name) => `ip link del ${innerInterface(name)}; `).join("")}${xdpOff(nic, link.xdp?.mode === 2)}; then install clang, libbpf-dev (1.0 or newer), libelf-dev and zlib1g-dev and build again`,
      },
    );
  }

  #hadProgram(nic: string): boolean {
    return this.#journal.content.programs.some((entry) => entry.nic === nic);
  }

  /** A daemon with another state folder may have been killed here. */
  async #detachStrays(): Promise<boolean> {
    const detached: boolean[] = [];
    for (const name of SEGMENT_NAMES) detached.push(await this.#detach(this.#config.segments[name].interface));
    return detached.includes(true);
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
    await this.#features.survey(nic);
    this.#journal.addLink(inner);
    if (backend === "xdp") {
      // Not of a NIC in service: drivers begin anew for it.
      if (!this.#goesOn) {
        this.#features.fitForProgram(nic);
        await this.#addMacvlan(name);
      }
    } else await this.#addPair(name);
    this.#setIpv6(name, backend);
    // Answers leave by the NIC, so the reverse path of what comes in here is another interface: loose, not strict.
    this.#set(`ipv4/conf/${inner}/rp_filter`, "2", "own");
    this.#set(`ipv4/conf/${inner}/forwarding`, readSysctl(`ipv4/conf/${nic}/forwarding`) ?? "1", "own");
    for (const { key, safe, wanted } of ARP_SETTINGS) {
      const own = `ipv4/conf/${nic}/${key}`;
      if (!safe.includes(Math.max(arpValue("all", key), arpValue(nic, key)))) this.#set(own, String(wanted), "restore");
    }
    if (backend === "af_packet") await ipBatch([`link set ${inner} up`]);
    await this.#addVips(name, backend);
    await this.#joinGroups(name);
  }

  /**
   * Every node's NIC is in the groups that questions for the segment's IPv6 VIPs go to, whoever owns them: a switch that listens to MLD (RFC 4541)
   * sends such questions to no other port, and a takeover must not wait for its next query. The kernel is the member, so that it lasts as long as a
   * program that goes on without its daemon.
   */
  async #joinGroups(name: SegmentName): Promise<void> {
    const nic = this.#config.segments[name].interface;
    const vips = this.#config.vips.filter(({ segment, address }) => segment === name && familyOf(address) === 6);
    const wanted = new Set(vips.map(({ address }) => formatIpv6(solicitedNodeGroup(parseIpv6(address) ?? 0n))));
    for (const entry of this.#journal.content.groups) {
      if (entry.nic !== nic || wanted.has(entry.address)) continue;
      await leaveGroup(entry);
      this.#journal.forget(entry);
    }
    const present = await groupsOn(nic);
    const missing = [...wanted].filter((group) => !present.includes(group));
    for (const group of missing) this.#journal.addGroup(nic, group);
    try {
      await ipBatch(missing.map((group) => `address add ${group}/128 dev ${nic} autojoin nodad`));
    } catch (err) {
      // Kernels bound them (net.core.optmem_max). Other switches need none.
      this.#log.warn(
        { nic, err },
        "the kernel joins no more groups: a switch that listens to MLD keeps questions for some VIPs to itself",
      );
    }
  }

  /**
   * Every VIP, for the kernel. An IPv6 one is there at once (no duplicate address detection: others may have it), is no source unless it is asked for
   * (preferred_lft 0), and adds no route. What the kernel says of it the port's guard keeps in; with XDP there is no guard on the way out, and the
   * kernel speaks by ND of an interface's own addresses, with or without `arp off`. So there they are on an interface that nobody hears.
   */
  async #addVips(name: SegmentName, backend: PortBackend): Promise<void> {
    const inner = innerInterface(name);
    const outer = outerInterface(name);
    const vips = this.#config.vips.filter((vip) => vip.segment === name);
    const isUnheard = backend === "xdp" && hasIpv6Vips(this.#config, name);
    if (isUnheard && !(this.#goesOn && this.#isOurs(await findLink(outer)))) await this.#addUnheard(name);
    const deviceOf = (address: string) => (familyOf(address) === 6 && isUnheard ? outer : inner);
    const wanted = new Set(vips.map(({ address }) => `${address} ${deviceOf(address)}`));
    const present = new Set((await Promise.all([inner, outer].map(addressesOn))).flat());
    await ipBatch([
      ...[...present].filter((entry) => !wanted.has(entry)).map((entry) => `address del ${onDevice(entry)}`),
      ...[...wanted]
        .filter((entry) => !present.has(entry))
        .map((entry) => `address add ${onDevice(entry)}${quietly(entry)}`),
    ]);
  }

  async #addUnheard(name: SegmentName): Promise<void> {
    const outer = outerInterface(name);
    const deaf = deafInterface(name);
    this.#journal.addLink(outer);
    await ipBatch([
      `link add ${outer} type veth peer name ${deaf}`,
      `link set ${outer} alias ${INTERFACE_ALIAS} arp off`,
      `link set ${deaf} alias ${INTERFACE_ALIAS} arp off`,
    ]);
    this.#set(`ipv6/conf/${deaf}/disable_ipv6`, "1", "own");
    this.#set(`ipv6/conf/${outer}/addr_gen_mode`, NO_LINK_LOCAL, "own");
    this.#set(`ipv6/conf/${outer}/disable_ipv6`, "0", "own");
    await ipBatch([`link set ${deaf} up`, `link set ${outer} up`]);
  }

  /** Without IPv6 VIPs the kernel has nothing to do with IPv6 on the interface. */
  #setIpv6(name: SegmentName, backend: PortBackend): void {
    const nic = this.#config.segments[name].interface;
    const own = `ipv6/conf/${innerInterface(name)}`;
    if (!hasIpv6Vips(this.#config, name)) {
      this.#set(`${own}/disable_ipv6`, "1", "own");
      return;
    }
    for (const [key, value] of Object.entries(QUIET_IPV6)) this.#set(`${own}/${key}`, value, "own");
    // The guard gives the kernel's own questions the link-local address that the front MAC makes; the answers to it must be the kernel's.
    this.#set(`${own}/addr_gen_mode`, backend === "xdp" ? NO_LINK_LOCAL : LINK_LOCAL_OF_MAC, "own");
    for (const key of ["forwarding", "force_forwarding"]) {
      const value = readSysctl(`ipv6/conf/${nic}/${key}`);
      if (value !== undefined) this.#set(`${own}/${key}`, value, "own");
    }
    this.#set(`${own}/disable_ipv6`, "0", "own");
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
    this.#features.stopReceiveMerging(nic);
  }

  /** `own` = a setting of an interface of ours, which goes when the interface goes. */
  #set(key: string, value: string, after: "own" | "restore"): void {
    const path = `/proc/sys/net/${key}`;
    if (!existsSync(path)) return; // a kernel without IPv6
    if (after === "restore") this.#journal.addSysctl(path, readFileSync(path, "utf8").trim());
    writeFileSync(path, value);
  }
}

/** Of an interface of ours, without the link-local ones: the kernel's own. Each as `ADDRESS DEVICE`. */
async function addressesOn(device: string): Promise<string[]> {
  const addresses = (await findLink(device))?.addr_info ?? [];
  return addresses.filter(({ scope }) => scope !== "link").map(({ local }) => `${local} ${device}`);
}

async function groupsOn(nic: string): Promise<string[]> {
  const addresses = (await findLink(nic))?.addr_info ?? [];
  return addresses.map(({ local }) => local).filter((local) => local.startsWith(SOLICITED_NODE));
}

async function leaveGroup({ nic, address }: { readonly nic: string; readonly address: string }): Promise<void> {
  if ((await groupsOn(nic)).includes(address)) await run("ip", ["address", "del", `${address}/128`, "dev", nic]);
}

function onDevice(entry: string): string {
  const [address = "", device = ""] = entry.split(" ");
  return `${address}/${hostPrefixLength(address)} dev ${device}`;
}

function quietly(entry: string): string {
  return familyOf(entry.split(" ")[0] ?? "") === 6 ? " nodad noprefixroute preferred_lft 0" : "";
}

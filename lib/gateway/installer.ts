// Puts the layer's interfaces and settings on this machine and takes them off again. Every VIP is configured on every node, on an
// interface of our own, so nothing in the operating system changes when a VIP moves (WO 01/35601, figure 15).

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Logger } from "pino";
import { type Config, SEGMENT_NAMES, type SegmentName } from "../config/config.js";
import { RainfrontError } from "../errors.js";
import { type NativeAddon, OFFLOAD_RECEIVE_MERGE, OFFLOAD_TRANSMIT, type PortBackend } from "../native.js";
import { frontMac } from "../steering/frontMac.js";
import { ipBatch, run } from "./command.js";
import { Journal, type JournalEntry } from "./journal.js";
import { INTERFACE_ALIAS, innerInterface, outerInterface } from "./names.js";
import { ARP_SETTINGS, arpValue, findLink, type Link, nicProblem, readSysctl } from "./nic.js";

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
      const problem = await nicProblem(this.#config, name);
      if (problem !== undefined) throw problem;
      for (const own of [innerInterface(name), outerInterface(name)]) {
        if ((await findLink(own)) !== undefined) {
          throw new RainfrontError("RF_INTERFACE_TAKEN", `an interface ${own} exists that Rainfront did not make`, {
            fix: `rename or delete it (ip link del ${own})`,
          });
        }
      }
    }
  }

  /** Undoes what an earlier daemon left behind. True when there was something. */
  async removeLeftovers(): Promise<boolean> {
    let found = this.#journal.takeOver();
    await this.uninstall();
    found = (await this.#detachStrays()) || found;
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
    for (const entry of programs) await attempt(entry, async () => void (await this.#detach(entry.nic)));
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
  async #detach(nic: string): Promise<boolean> {
    return (await findLink(nic)) !== undefined && this.#native.xdp?.detach(nic) === true;
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

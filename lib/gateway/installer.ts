// Puts the layer's interfaces and settings on this machine and takes them off again. Every VIP is configured on every node, on an
// interface of our own, so nothing in the operating system changes when a VIP moves (WO 01/35601, figure 15).

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { type Config, SEGMENT_NAMES, type SegmentName } from "../config/config.js";
import { RainfrontError } from "../errors.js";
import { type NativeAddon, OFFLOAD_RECEIVE_MERGE, OFFLOAD_TRANSMIT } from "../native.js";
import { frontMac } from "../steering/frontMac.js";
import { ipBatch, run } from "./command.js";
import { Journal } from "./journal.js";
import { INTERFACE_ALIAS, innerInterface, outerInterface } from "./names.js";

const CAP_NET_ADMIN = 12n;
const CAP_NET_RAW = 13n;

const LinkInfo = z.array(
  z.object({
    ifname: z.string(),
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
  readonly #journal: Journal;

  constructor(config: Config, native: NativeAddon) {
    this.#config = config;
    this.#native = native;
    this.#journal = new Journal(config.stateDir);
  }

  /** Throws `RF_NO_PRIVILEGE`, `RF_NIC_MISSING`, `RF_NIC_DOWN`, `RF_NIC_ADDRESS` or `RF_INTERFACE_TAKEN`; changes nothing. */
  async check(): Promise<void> {
    checkPrivilege();
    for (const name of SEGMENT_NAMES) {
      await this.#checkNic(name);
      for (const own of [innerInterface(name), outerInterface(name)]) {
        const link = await findLink(own);
        if (link !== undefined && link.ifalias !== INTERFACE_ALIAS) {
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
  }

  /** Undoes what an earlier daemon left behind. True when there was something. */
  async removeLeftovers(): Promise<boolean> {
    const leftover = this.#journal.readLeftover();
    if (leftover !== undefined) await this.#undo(leftover);
    let found = leftover !== undefined;
    for (const name of SEGMENT_NAMES) {
      const link = await findLink(innerInterface(name));
      if (link === undefined) continue;
      await run("ip", ["link", "del", link.ifname]);
      found = true;
    }
    this.#journal.clear();
    return found;
  }

  /** Installs everything. When a step fails, what was done is undone before the error goes on. */
  async install(): Promise<void> {
    try {
      for (const name of SEGMENT_NAMES) await this.#installSegment(name);
    } catch (error) {
      await this.uninstall();
      throw error;
    }
  }

  async uninstall(): Promise<void> {
    await this.#undo(this.#journal.content);
    this.#journal.clear();
  }

  async #installSegment(name: SegmentName): Promise<void> {
    const nic = this.#config.segments[name].interface;
    const inner = innerInterface(name);
    const outer = outerInterface(name);
    const mac = frontMac(this.#config.cluster, name, this.#config.node.id);
    const mtu = (await findLink(nic))?.mtu ?? 1500;

    this.#journal.addLink(inner);
    await ipBatch([
      `link add ${inner} address ${mac} mtu ${mtu} type veth peer name ${outer} mtu ${mtu}`,
      `link set ${inner} alias ${INTERFACE_ALIAS}`,
      `link set ${outer} alias ${INTERFACE_ALIAS}`,
    ]);
    this.#set(`ipv6/conf/${inner}/disable_ipv6`, "1", "own");
    this.#set(`ipv6/conf/${outer}/disable_ipv6`, "1", "own");
    // Answers leave by the NIC, so the reverse path of what comes in here is another interface: loose, not strict.
    this.#set(`ipv4/conf/${inner}/rp_filter`, "2", "own");
    this.#set(`ipv4/conf/${inner}/forwarding`, readSysctl(`ipv4/conf/${nic}/forwarding`) ?? "1", "own");
    // The rings must see frames as they are on the wire.
    this.#native.writeOffloads(inner, OFFLOAD_TRANSMIT, 0);
    this.#journal.addOffloads(nic, this.#native.readOffloads(nic));
    this.#native.writeOffloads(nic, OFFLOAD_RECEIVE_MERGE, 0);
    // The kernel answers ARP on the NIC only for addresses of the NIC, and asks only under them: never for or under a VIP.
    this.#raise(`ipv4/conf/${nic}/arp_ignore`, 1);
    this.#raise(`ipv4/conf/${nic}/arp_announce`, 2);

    const vips = this.#config.vips.filter((vip) => vip.segment === name);
    await ipBatch([
      `link set ${outer} up`,
      `link set ${inner} up`,
      ...vips.map((vip) => `address add ${vip.address}/32 dev ${inner}`),
    ]);
  }

  #raise(key: string, atLeast: number): void {
    const previous = readSysctl(key);
    if (previous !== undefined && Number(previous) < atLeast) this.#set(key, String(atLeast), "restore");
  }

  /** `own` = a setting of an interface of ours, which goes when the interface goes. */
  #set(key: string, value: string, after: "own" | "restore"): void {
    const path = `/proc/sys/net/${key}`;
    if (!existsSync(path)) return; // a kernel without IPv6
    if (after === "restore") this.#journal.addSysctl(path, readFileSync(path, "utf8").trim());
    writeFileSync(path, value);
  }

  async #undo(content: Journal["content"]): Promise<void> {
    for (const name of content.links) {
      const link = await findLink(name);
      if (link !== undefined) await run("ip", ["link", "del", name]);
    }
    for (const { path, previous } of content.sysctls) {
      if (existsSync(path)) writeFileSync(path, previous); // gone with its NIC otherwise
    }
    for (const { nic, previous } of content.offloads) {
      if ((await findLink(nic)) !== undefined) this.#native.writeOffloads(nic, OFFLOAD_RECEIVE_MERGE, previous);
    }
  }
}

function checkPrivilege(): void {
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

function readSysctl(key: string): string | undefined {
  const path = `/proc/sys/net/${key}`;
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}

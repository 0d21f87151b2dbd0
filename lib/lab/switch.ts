// An Ethernet switch of the lab: a bridge in a namespace of its own. Hosts are plugged in with veth cables.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { AddressFamily } from "../config/address.js";
import { RainfrontError } from "../errors.js";
import { run } from "./commands.js";
import { Host } from "./host.js";
import { LAB_OFFLOADS } from "./offloads.js";
import { STATE_ROOT } from "./paths.js";

const BRIDGE = "br0";

export interface Plug {
  readonly host: Host;
  /** Name of the NIC inside the host. */
  readonly nic: string;
  readonly mac: string;
  /** With prefix length. */
  readonly addresses: readonly string[];
  /** What runs on the NIC sends frames out of it without the kernel's stack (XDP): they arrive only where the cable's other end polls. */
  readonly redirects?: boolean;
}

/** MLD snooping: what is sent to a group goes only where somebody has reported it. It begins one response interval (centiseconds) after the first query. */
const SNOOPING = "mcast_snooping 1 mcast_querier 1 mcast_query_response_interval 100";

export class Switch extends Host {
  /** One that carries IPv6 listens to MLD, as those of a site do (RFC 4541): a question for a VIP whose group nobody has reported is lost. */
  async power(families: readonly AddressFamily[] = [4]): Promise<void> {
    await this.create();
    const snoops = families.includes(6);
    await this.ip([`link add ${BRIDGE} type bridge stp_state 0 ${snoops ? SNOOPING : "mcast_snooping 0"}`]);
    // Queries have an address of the switch.
    if (snoops)
      await this.sysctl({ [`net/ipv6/conf/${BRIDGE}/accept_dad`]: 0, [`net/ipv6/conf/${BRIDGE}/disable_ipv6`]: 0 });
    await this.ip([`link set ${BRIDGE} up`]);
    // Else the kernel passes bridged frames through its IP firewall, and hosts share one conntrack.
    await this.sysctl({
      "net/bridge/bridge-nf-call-iptables": 0,
      "net/bridge/bridge-nf-call-ip6tables": 0,
      "net/bridge/bridge-nf-call-arptables": 0,
    });
  }

  /** Port and host have the same name. */
  async plugIn(plug: Plug): Promise<void> {
    const { host, nic } = plug;
    await run([
      ...["ip", "link", "add", nic, "netns", host.namespace, "address", plug.mac, "type", "veth"],
      ...["peer", "name", host.name, "netns", this.namespace],
    ]);
    await Promise.all([
      this.ip([`link set ${host.name} master ${BRIDGE} up`]),
      host.ip([...plug.addresses.map((address) => `addr add ${address} dev ${nic}`), `link set ${nic} up`]),
      host.run(["ethtool", "-K", nic, ...LAB_OFFLOADS]),
      this.run(["ethtool", "-K", host.name, ...LAB_OFFLOADS]),
    ]);
    // Not before both ends are up: a veth learns only then that its peer has begun to poll, and drops what is redirected until it knows.
    if (plug.redirects === true) await this.run(["ethtool", "-K", host.name, "gro", "on"]);
  }

  /**
   * Makes ready to drop what these rules say (switchRules.ts) in place of what was dropped before. The returned function does it: it
   * waits for nothing but nft itself, in front of all that wants the CPU, so that several switches obey at nearly the same moment.
   */
  async arm(rules: string): Promise<() => Promise<void>> {
    mkdirSync(STATE_ROOT, { recursive: true });
    const file = join(STATE_ROOT, `${this.name}.nft`);
    writeFileSync(file, rules);
    const wait = 'renice -n -20 $$ >/dev/null 2>&1; echo ready; read -r go; exec nft -f "$0"';
    const shell = this.spawn(["sh", "-c", wait, file], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const done = new Promise<void>((resolve, reject) => {
      shell.on("error", reject);
      shell.on("close", (code) => {
        if (code === 0) resolve();
        else reject(new RainfrontError("RF_LAB_COMMAND", `nft on ${this.name} ended with status ${code}`));
      });
    });
    done.catch(() => {}); // whoever fires it is told
    const { stdin, stdout } = shell;
    if (stdin === null || stdout === null) throw new Error("a shell without pipes");
    await Promise.race([done, new Promise((resolve) => createInterface({ input: stdout }).once("line", resolve))]);
    return () => {
      stdin.end("go\n");
      return done;
    };
  }

  /** Takes the cable away with both its ends. */
  async unplug(host: Host): Promise<void> {
    await this.ip([`link delete ${host.name}`]);
  }
}

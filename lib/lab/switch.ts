// An Ethernet switch of the lab: a bridge in a namespace of its own. Hosts are plugged in with veth cables.

import { run } from "./commands.js";
import { Host } from "./host.js";
import { LAB_OFFLOADS } from "./offloads.js";

const BRIDGE = "br0";

export interface Plug {
  readonly host: Host;
  /** Name of the NIC inside the host. */
  readonly nic: string;
  readonly mac: string;
  /** With prefix length. */
  readonly addresses: readonly string[];
}

export class Switch extends Host {
  async power(): Promise<void> {
    await this.create();
    await this.ip([`link add ${BRIDGE} type bridge stp_state 0 mcast_snooping 0`, `link set ${BRIDGE} up`]);
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
  }

  /** Takes the cable away with both its ends. */
  async unplug(host: Host): Promise<void> {
    await this.ip([`link delete ${host.name}`]);
  }
}

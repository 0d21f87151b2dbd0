// The network of one measurement: a host for each node, all on one switch. The same for every system.

import { Host } from "../../lib/lab/host.js";
import { Switch } from "../../lib/lab/switch.js";

const NIC = "eth0";

export interface FabricNode {
  readonly nodeId: number;
  readonly address: string;
  readonly host: Host;
}

export class Fabric {
  readonly nodes: readonly FabricNode[];
  private readonly bridge = new Switch("bench-sw");

  constructor(count: number) {
    this.nodes = Array.from({ length: count }, (_, index) => ({
      nodeId: index + 1,
      address: `10.91.0.${index + 1}`,
      host: new Host(`bench${index + 1}`),
    }));
  }

  async build(): Promise<void> {
    await this.bridge.power();
    for (const { nodeId, address, host } of this.nodes) {
      await host.create();
      const mac = `06:00:00:00:91:${nodeId.toString(16).padStart(2, "0")}`;
      await this.bridge.plugIn({ host, nic: NIC, mac, addresses: [`${address}/24`] });
    }
  }

  async remove(): Promise<void> {
    for (const { host } of this.nodes) {
      host.killAll();
      await this.bridge.unplug(host);
      await host.remove();
    }
    await this.bridge.remove();
  }
}

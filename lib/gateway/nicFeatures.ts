// Features of NICs that would show us frames which are not what was on the wire: turned off while the node runs, and restored. Used by installer.ts.

import type { Logger } from "pino";
import { type NativeAddon, OFFLOAD_RECEIVE_MERGE, OFFLOAD_RECEIVE_VLAN } from "../native.js";
import type { Journal } from "./journal.js";
import { devicesBelow, findLink } from "./nic.js";

export class NicFeatures {
  readonly #journal: Journal;
  readonly #native: Pick<NativeAddon, "readOffloads" | "writeOffloads">;
  readonly #log: Logger;

  constructor(journal: Journal, native: Pick<NativeAddon, "readOffloads" | "writeOffloads">, log: Logger) {
    this.#journal = journal;
    this.#native = native;
    this.#log = log;
  }

  /** Also below the NIC, where that is a bond, a bridge or a VLAN. For whatever sees frames behind the driver: rings, and XDP that is generic. */
  async stopReceiveMerging(nic: string): Promise<void> {
    for (const device of await devicesBelow(nic)) {
      const on = this.#turnOff(device, OFFLOAD_RECEIVE_MERGE);
      if (on === 0) continue;
      const features = [
        (on & 1) === 0 ? [] : "generic-receive-offload",
        (on & 2) === 0 ? [] : "large-receive-offload",
      ].flat();
      this.#log.warn(
        { nic: device, features },
        "the driver merges received frames; merged ones that exceed the MTU are dropped",
      );
    }
  }

  /** A driver that takes the outer tag off shows XDP frames of VLANs as if they were the segment's. */
  async keepTags(nic: string): Promise<void> {
    const isBond = (await findLink(nic))?.linkinfo?.info_kind === "bond";
    for (const device of isBond ? await devicesBelow(nic) : [nic]) {
      if (this.#turnOff(device, OFFLOAD_RECEIVE_VLAN) === 0) continue;
      this.#log.warn(
        { nic: device },
        "the driver takes VLAN tags off: do not use VLANs beside the segment on this NIC",
      );
    }
  }

  async restore({ nic, mask, previous }: Journal["content"]["offloads"][number]): Promise<void> {
    if ((await findLink(nic)) !== undefined) this.#native.writeOffloads(nic, mask, previous);
  }

  /** What the driver leaves on of it. */
  #turnOff(nic: string, mask: number): number {
    this.#journal.addOffloads(nic, this.#native.readOffloads(nic), mask);
    return this.#native.writeOffloads(nic, mask, 0) & mask;
  }
}

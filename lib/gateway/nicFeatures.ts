// Features of NICs that would show us frames which are not what was on the wire: turned off while the node runs, and restored. Used by installer.ts.

import type { Logger } from "pino";
import { type NativeAddon, OFFLOAD_LRO, OFFLOAD_RECEIVE_MERGE, OFFLOAD_RECEIVE_VLAN } from "../native.js";
import type { Journal } from "./journal.js";
import { devicesBelow, findLink } from "./nic.js";

interface Below {
  /** The NIC, and all that its frames come in by. */
  readonly devices: readonly string[];
  /** Whose drivers run the program. */
  readonly drivers: readonly string[];
}

export class NicFeatures {
  readonly #journal: Journal;
  readonly #native: Pick<NativeAddon, "readOffloads" | "writeOffloads">;
  readonly #log: Logger;
  readonly #below = new Map<string, Below>();

  constructor(journal: Journal, native: Pick<NativeAddon, "readOffloads" | "writeOffloads">, log: Logger) {
    this.#journal = journal;
    this.#native = native;
    this.#log = log;
  }

  /**
   * Before the others, which are asked while the ring is at work and must start no process: what the NIC is made of, as it is now. What is put into a
   * bond or a bridge later is seen at the next start.
   */
  async survey(nic: string): Promise<void> {
    const devices = await devicesBelow(nic);
    const isBond = (await findLink(nic))?.linkinfo?.info_kind === "bond";
    this.#below.set(nic, { devices, drivers: isBond ? devices : [nic] });
  }

  /** Also below the NIC, where that is a bond, a bridge or a VLAN. For whatever sees frames behind the driver: rings, and XDP that is generic. */
  stopReceiveMerging(nic: string): void {
    for (const device of this.#below.get(nic)?.devices ?? [nic]) {
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

  /**
   * What would keep a driver's program from seeing frames as they are on the wire. A driver that takes the outer tag off shows frames of VLANs as if they were
   * the segment's; one that merges (LRO) runs no program at all.
   */
  fitForProgram(nic: string): void {
    for (const device of this.#below.get(nic)?.drivers ?? [nic]) {
      this.#turnOff(device, OFFLOAD_LRO);
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
    try {
      this.#journal.addOffloads(nic, this.#native.readOffloads(nic), mask);
      return this.#native.writeOffloads(nic, mask, 0) & mask;
    } catch (error) {
      if ((error as { code?: unknown }).code !== "RF_NIC_MISSING") throw error;
      return 0; // taken out of the bond or the bridge, and away
    }
  }
}

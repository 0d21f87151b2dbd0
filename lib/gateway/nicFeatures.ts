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
    for (const { device, on } of this.#turnOff(this.#below.get(nic)?.devices ?? [nic], OFFLOAD_RECEIVE_MERGE)) {
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
    const drivers = this.#below.get(nic)?.drivers ?? [nic];
    this.#turnOff(drivers, OFFLOAD_LRO);
    for (const { device, on } of this.#turnOff(drivers, OFFLOAD_RECEIVE_VLAN)) {
      if (on === 0) continue;
      this.#log.warn(
        { nic: device },
        "the driver takes VLAN tags off: do not use VLANs beside the segment on this NIC",
      );
    }
  }

  async restore({ nic, mask, previous }: Journal["content"]["offloads"][number]): Promise<void> {
    if ((await findLink(nic)) !== undefined) this.#native.writeOffloads(nic, mask, previous);
  }

  /** What the drivers leave on of it. All are remembered first: what is turned off on a bond, the kernel turns off on its parts. */
  #turnOff(devices: readonly string[], mask: number): readonly { readonly device: string; readonly on: number }[] {
    const present = devices.filter((device) =>
      isThere(() => this.#journal.addOffloads(device, this.#native.readOffloads(device), mask)),
    );
    const left: { readonly device: string; readonly on: number }[] = [];
    for (const device of present)
      isThere(() => left.push({ device, on: this.#native.writeOffloads(device, mask, 0) & mask }));
    return left;
  }
}

/** False: it was taken out of the bond or the bridge, and away. */
function isThere(act: () => void): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code !== "RF_NIC_MISSING") throw error;
    return false;
  }
}

// Is the XDP program still on every NIC? Whoever may attach one may take ours off (`ip link set dev NIC xdp off`, another daemon's start), and then this node
// owns VIPs that nobody answers for. Owned by daemon.ts, in whose thread the question costs the ring nothing.

import { type Config, SEGMENT_NAMES, type SegmentName } from "../config/config.js";
import type { NativeXdp } from "../native.js";

const INTERVAL_MS = 1000;

export class ProgramWatch {
  readonly #config: Config;
  readonly #xdp: Pick<NativeXdp, "attached"> | undefined;
  readonly #onMissing: (name: SegmentName) => Promise<void>;
  #timer: NodeJS.Timeout | undefined;

  /** `onMissing` reports what fails by itself; it is asked again a second after it is done. */
  constructor(
    config: Config,
    xdp: Pick<NativeXdp, "attached"> | undefined,
    onMissing: (name: SegmentName) => Promise<void>,
  ) {
    this.#config = config;
    this.#xdp = xdp;
    this.#onMissing = onMissing;
  }

  start(): void {
    this.#timer = setTimeout(() => void this.#look(), INTERVAL_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #look(): Promise<void> {
    for (const name of SEGMENT_NAMES) {
      if (this.#isOn(this.#config.segments[name].interface)) continue;
      await this.#onMissing(name).catch(() => {});
    }
    if (this.#timer !== undefined) this.start();
  }

  #isOn(nic: string): boolean {
    try {
      return this.#xdp?.attached(nic)?.isOurs === true;
    } catch (error) {
      // The NIC is gone, or has another name. Else nothing is known: a process without descriptors, a kernel without memory.
      return (error as { code?: unknown }).code !== "RF_NIC_MISSING";
    }
  }
}

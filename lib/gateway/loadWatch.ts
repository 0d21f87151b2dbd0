// How busy this machine is, told to the group every now and then, where flows are given by it. Used by daemon.ts.

import { busyShare, elapsed, readCpuTimes } from "../cpuTimes.js";

/** Several times within the life of what was told (lib/steering/loads.ts). */
const TELL_EVERY_MS = 2_000;

export class LoadWatch {
  readonly #timer: NodeJS.Timeout;
  #before = readCpuTimes();

  /** `tell`: 0 to 1, of all CPUs since the last time. */
  constructor(tell: (busy: number) => Promise<void>) {
    this.#timer = setInterval(() => {
      const now = readCpuTimes();
      const busy = busyShare(elapsed(this.#before, now));
      this.#before = now;
      tell(busy).catch(() => {}); // the ring has ended, or begins
    }, TELL_EVERY_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

// How busy this machine is, told to the group every now and then, where flows are given by it. Used by daemon.ts.

import { busyShare, type CpuTimes, elapsed, readCpuTimes } from "../cpuTimes.js";

/** Several times within the life of what was told (lib/steering/loads.ts). */
const TELL_EVERY_MS = 2_000;

export class LoadWatch {
  readonly #timer: NodeJS.Timeout;
  #before = timesIfReadable();

  /** `tell`: 0 to 1, of all CPUs since the last time. */
  constructor(tell: (busy: number) => Promise<void>) {
    this.#timer = setInterval(() => {
      const before = this.#before;
      const now = timesIfReadable();
      this.#before = now;
      // Who says nothing is taken for as busy as the least busy one.
      if (before === undefined || now === undefined) return;
      const busy = busyShare(elapsed(before, now));
      tell(busy).catch(() => {}); // the ring has ended, or begins
    }, TELL_EVERY_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** No reason to fail: /proc may be hidden, or no descriptor free. */
function timesIfReadable(): CpuTimes | undefined {
  try {
    return readCpuTimes();
  } catch {
    return undefined;
  }
}

// Keeps the machine's CPUs from halting while a lab or a benchmark runs. A virtual CPU that halts has to be given back by its host when there is
// something to do, and a busy host takes its time (18 ms were measured, against 1 ms without halting): that would be measured, not the gateways.

import { openSync, writeSync } from "node:fs";

/** Held open, it says how long a CPU may take to wake (Documentation/power/pm_qos_interface.rst): with 0, idle CPUs poll. */
const LATENCY_DEVICE = "/dev/cpu_dma_latency";

/** Until this process ends, however it ends. Where that cannot be done it goes on, and says so. */
export function keepCpusAwake(say: (line: string) => void): void {
  try {
    writeSync(openSync(LATENCY_DEVICE, "w"), Buffer.alloc(4));
  } catch (error) {
    say(`idle CPUs may halt, and wake late: ${error instanceof Error ? error.message : String(error)}`);
  }
}

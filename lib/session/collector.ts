// How V8 collects the garbage of the ring's thread. With its defaults, a ring at rest was collected every 1.3 s, each time with four helpers that had to wake up for it: a fifth of
// the CPU time of a node at rest. And a program that has nothing to do is tidied up after some seconds by helpers of all isolates at once, which come before the ring (the ring may
// wait for one) and under full load took up to 40 ms of a CPU. Used by ringThread.ts.
import { setFlagsFromString } from "node:v8";

/** In MB, of threads that are started from now on: a ring at rest fills so much in five seconds, and a collection takes a millisecond. */
const SPACE = "--min-semi-space-size=4";
/** Of the whole process: each isolate collects by itself, and only when it has to. */
const ALONE: readonly string[] = ["--no-memory-reducer", "--no-parallel-scavenge", "--no-parallel-compaction"];

/** Before the ring's thread is started. `isWhole`: the process is the ring's; else the rest of it is left as it is. */
export function settleCollector(isWhole: boolean): void {
  for (const flag of isWhole ? [SPACE, ...ALONE] : [SPACE]) setFlagsFromString(flag);
}

// How often the threads of a process have gone to sleep by themselves: each time something had to wake them.

import { readdirSync, readFileSync } from "node:fs";

export function processWakeups(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + threadWakeups(pid, thread), 0);
}

function threadWakeups(pid: number, thread: string): number {
  try {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8");
    return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1] ?? 0);
  } catch {
    return 0; // it ended in the meantime
  }
}

// CPU time as the kernel counts it: of the whole machine (softirq included, which is charged to no process) and of one process.

import { readFileSync } from "node:fs";
import { readCpuTimes, TICKS_PER_SECOND } from "../lib/cpuTimes.js";

/** Nanoseconds that all CPUs together have been busy since boot. */
export function machineBusy_ns(): number {
  return (readCpuTimes().busy * 1e9) / TICKS_PER_SECOND;
}

/** Nanoseconds since boot in which this CPU would have worked and its host ran something else. */
export function stolen_ns(cpu: number): number {
  return (readCpuTimes(cpu).stolen * 1e9) / TICKS_PER_SECOND;
}

/** Seconds of CPU of all threads of a process since it started. */
export function processCpu_s(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory in bytes. */
export function processResident_bytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
}

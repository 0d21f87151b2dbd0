// The kernel's count of CPU time, of the whole machine or of one CPU, as /proc/stat tells it. Parsing is pure; source: proc_stat(5).

import { readFileSync } from "node:fs";

/** USER_HZ: the same on every Linux port that Node runs on. */
export const TICKS_PER_SECOND = 100;

/** Since the machine started, or between two times, in ticks. Softirqs are charged to no process, and are in here. */
export interface CpuTimes {
  /** In a program, or in the kernel. */
  readonly busy: number;
  /** Waiting for a disk counts as idle. */
  readonly idle: number;
  /** Wanted, while the host of this virtual machine ran something else. */
  readonly stolen: number;
}

/** Of all CPUs together, or of one; undefined where `stat` (the text of /proc/stat) does not say. */
export function parseCpuTimes(stat: string, cpu?: number): CpuTimes | undefined {
  const line = new RegExp(`^cpu${cpu ?? ""} +(.*)$`, "m").exec(stat)?.[1];
  // user nice system idle iowait irq softirq steal; guest times are in user already
  const ticks = line?.split(/\s+/).slice(0, 8).map(Number);
  if (ticks === undefined || ticks.length < 8 || ticks.some(Number.isNaN)) return undefined;
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, stolen = 0] = ticks;
  return { busy: user + nice + system + irq + softirq, idle: idle + iowait, stolen };
}

export function readCpuTimes(cpu?: number): CpuTimes {
  const times = parseCpuTimes(readFileSync("/proc/stat", "utf8"), cpu);
  if (times === undefined)
    throw new Error(`/proc/stat does not tell the times of ${cpu === undefined ? "the CPUs" : `CPU ${cpu}`}`);
  return times;
}

export function elapsed(before: CpuTimes, after: CpuTimes): CpuTimes {
  return { busy: after.busy - before.busy, idle: after.idle - before.idle, stolen: after.stolen - before.stolen };
}

/** 0 to 1: what was stolen of the time that programs wanted. Undefined: they wanted none. */
export function stolenShare({ busy, stolen }: CpuTimes): number | undefined {
  const wanted = busy + stolen;
  return wanted > 0 ? stolen / wanted : undefined;
}

/** 0 to 1, of all time; stolen time is not idle. */
export function busyShare({ busy, idle, stolen }: CpuTimes): number {
  const all = busy + idle + stolen;
  return all <= 0 ? 0 : 1 - idle / all;
}

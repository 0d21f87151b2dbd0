// What the doctor says of the machine as such: priority, memory, clock, CPU. Used by doctor.ts.

import { readFileSync } from "node:fs";
import type { Config } from "../config/config.js";
import { parseCpuTimes, stolenShare } from "../cpuTimes.js";
import type { NativeAddon } from "../native.js";
import type { Timers } from "../raincore/timers.js";
import type { Finding } from "./doctor.js";
import { hasCapability } from "./privilege.js";

/** Clock sources that a look at costs next to nothing. Others (hpet, acpi_pm) cost microseconds each. */
const FAST_CLOCKS: ReadonlySet<string> = new Set([
  "tsc",
  "kvm-clock",
  "arch_sys_counter",
  "hyperv_clocksource_tsc_page",
  "xen",
]);
/** Of the CPU time. A machine that shares a CPU in peace with others stays far below. */
const STOLEN_SHARE_MAX = 0.02;

type Native = Pick<NativeAddon, "lockMappedFiles">;

export function machineFindings(config: Config, native: Native): readonly Finding[] {
  return [realtime(), memory(native), clock(), cpu(config)];
}

function realtime(): Finding {
  const check = "priority";
  if (hasCapability("CAP_SYS_NICE")) return { check, level: "ok", message: "the ring may run with real-time priority" };
  return {
    check,
    level: "warning",
    message: "the ring may not run with real-time priority: a busy machine will lose its place in the group",
    fix: "run as root, or give the service CAP_SYS_NICE",
  };
}

function clock(): Finding {
  const check = "clock";
  const source = read("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  if (source === undefined || FAST_CLOCKS.has(source))
    return { check, level: "ok", message: source ?? "unknown source" };
  return {
    check,
    level: "warning",
    message: `the kernel's clock source is ${source}, which is slow to read`,
    fix: "see /sys/devices/system/clocksource/clocksource0/available_clocksource; tsc or the hypervisor's clock is best",
  };
}

function cpu({ timers }: Config): Finding {
  return cpuFinding(read("/proc/stat") ?? "", timers);
}

/** @param stat the text of /proc/stat */
export function cpuFinding(stat: string, { failoverTarget_ms, handOverFail_ms }: Timers): Finding {
  const check = "cpu";
  const times = parseCpuTimes(stat);
  const share = times === undefined ? undefined : stolenShare(times);
  if (share === undefined) return { check, level: "note", message: "the kernel does not say what its host takes" };
  const percent = Math.round(1000 * share) / 10;
  if (share <= STOLEN_SHARE_MAX)
    return { check, level: "ok", message: `its host took ${percent} % of the CPU time since it started` };
  return {
    check,
    level: "warning",
    message: `this machine's host took ${percent} % of the CPU time since it started: everything here stands still meanwhile`,
    fix:
      `give the machine CPUs of its own, keep its idle CPUs from halting (idle=poll), or raise failoverTarget_ms (at ${failoverTarget_ms} a node that stands still for ` +
      `${Math.round(handOverFail_ms)} ms is taken for dead)`,
  };
}

/** Where the ring would wait for a disk: pages of the program that were taken back, and of the heap where there is swap. */
function memory(native: Native): Finding {
  return memoryFinding(native.lockMappedFiles(), read("/proc/swaps") ?? "", mayNotSwap());
}

/** The service, or what it is part of, is kept from swapping (systemd's MemorySwapMax=0). */
function mayNotSwap(): boolean {
  const group = /^0::(\/.*)$/m.exec(read("/proc/self/cgroup") ?? "")?.[1] ?? "/";
  const parts = group.split("/").filter((part) => part !== "");
  return parts.some((_, index) => {
    const folder = parts.slice(0, index + 1).join("/");
    return read(`/sys/fs/cgroup/${folder}/memory.swap.max`) === "0";
  });
}

/** @param swaps the text of /proc/swaps */
export function memoryFinding(isProgramLocked: boolean, swaps: string, isKeptFromSwapping: boolean): Finding {
  const check = "memory";
  if (!isProgramLocked) {
    return {
      check,
      level: "warning",
      message:
        "the daemon may not keep its program in memory: the ring waits when pages of it are read from the disk again",
      fix: "run as root, or give the service CAP_IPC_LOCK",
    };
  }
  // Compressed memory is no disk.
  const isSwapping = swaps.split("\n").some((line) => line.startsWith("/") && !line.startsWith("/dev/zram"));
  if (!isSwapping || isKeptFromSwapping) return { check, level: "ok", message: "the daemon stays in memory" };
  return {
    check,
    level: "warning",
    message: "this machine swaps: the ring waits when the daemon's heap is read from the disk again",
    fix: "swapoff -a, or give the service MemorySwapMax=0",
  };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

// Keeps every core of the machine busy: stress-ng inside the lab's box, at the priority that every program has. Used by the
// stress scenario, which also asks here whether the cores really were busy.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { RainfrontError } from "../errors.js";
import { STATE_ROOT } from "./paths.js";

export interface CpuTimes {
  readonly all: number;
  readonly idle: number;
}

/** The first line of /proc/stat: clock ticks of all cores. Waiting for a disk counts as idle. */
export function parseCpuTimes(stat: string): CpuTimes {
  const line = /^cpu +(.*)$/m.exec(stat)?.[1] ?? "";
  // user nice system idle iowait irq softirq steal; guest times are in user already
  const ticks = line.split(/\s+/).slice(0, 8).map(Number);
  return { all: ticks.reduce((sum, value) => sum + value, 0), idle: (ticks[3] ?? 0) + (ticks[4] ?? 0) };
}

/** 0 to 1. */
export function busyShare(before: CpuTimes, after: CpuTimes): number {
  const all = after.all - before.all;
  return all <= 0 ? 0 : 1 - (after.idle - before.idle) / all;
}

export class Stressor {
  readonly #child: ChildProcess;
  readonly #ended: Promise<string>;
  readonly #before = readCpuTimes();
  #isOver = false;

  private constructor(child: ChildProcess) {
    this.#child = child;
    let stderr = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      stderr = (stderr + chunk.toString("utf8")).slice(-500);
    });
    this.#ended = new Promise((resolve) => {
      child.on("error", (error) => resolve(error.message));
      child.on("close", () => {
        this.#isOver = true;
        resolve(stderr.trim());
      });
    });
  }

  /** A worker per core that computes, and one per core that does nothing but switch between processes. */
  static start(): Stressor {
    const cores = String(availableParallelism());
    const folder = join(STATE_ROOT, "stress");
    mkdirSync(folder, { recursive: true });
    const argv = ["--cpu", cores, "--switch", cores, "--timeout", "0", "--quiet", "--temp-path", folder];
    return new Stressor(spawn("stress-ng", argv, { stdio: ["ignore", "ignore", "pipe"] }));
  }

  /** Ends it; resolves with the share of the machine's time since its start that was not idle. */
  async stop(): Promise<number> {
    const share = busyShare(this.#before, readCpuTimes());
    if (this.#isOver) {
      throw new RainfrontError("RF_LAB_COMMAND", `stress-ng ended by itself: ${await this.#ended}`);
    }
    this.#child.kill("SIGTERM");
    await this.#ended;
    return share;
  }
}

function readCpuTimes(): CpuTimes {
  return parseCpuTimes(readFileSync("/proc/stat", "utf8"));
}

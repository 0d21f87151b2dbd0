// Keeps every core of the machine busy: stress-ng inside the lab's box, at the priority that every program has. Used by the
// stress scenario, which also asks here whether the cores really were busy.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { busyShare, elapsed, readCpuTimes } from "../cpuTimes.js";
import { RainfrontError } from "../errors.js";
import { STATE_ROOT } from "./paths.js";

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
    const share = busyShare(elapsed(this.#before, readCpuTimes()));
    if (this.#isOver) {
      throw new RainfrontError("RF_LAB_COMMAND", `stress-ng ended by itself: ${await this.#ended}`);
    }
    this.#child.kill("SIGTERM");
    await this.#ended;
    return share;
  }
}

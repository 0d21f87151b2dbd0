// The box around a lab: own mount, process and network namespaces (and a user namespace where the user is not root), with a
// private /run. When the process inside ends, however it ends, the kernel ends every other process of the box and takes its
// namespaces and interfaces away. So a lab leaves nothing behind, and there is nothing to clean up at the next start.
//
// Outside stays a small wrapper. It holds one end of a pipe (fd 3 inside): when the wrapper dies, the inside reads its end and ends too.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { Socket } from "node:net";
import type { Writable } from "node:stream";
import { RainfrontError } from "../errors.js";
import { watchCallers } from "./callers.js";

const INSIDE = "RAINFRONT_LAB_RUN_FOLDER";
const LIFELINE_FD = 3;

/** The run folder, when this process is the one inside. */
export function insideRunFolder(): string | undefined {
  return process.env[INSIDE];
}

/** Runs this program again inside a box and resolves with its exit status. */
export async function runIsolated(program: string, argv: readonly string[], runFolder: string): Promise<number> {
  const flags = boxFlags();
  const child = spawn("unshare", [...flags, process.execPath, program, ...argv], {
    stdio: ["inherit", "inherit", "inherit", "pipe"],
    env: { ...process.env, [INSIDE]: runFolder },
  });
  const lifeline = child.stdio[LIFELINE_FD] as Writable;
  lifeline.on("error", () => {}); // the inside ended first
  // From a terminal the inside gets the signal as well; asked twice it is enough.
  let asked = false;
  const stop = () => {
    if (asked) child.kill("SIGKILL");
    asked = true;
    lifeline.end();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop);
  const unwatch = watchCallers(stop);
  const terminal = rememberTerminal();
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => {
      unwatch();
      terminal.restore();
      resolve(code ?? 1);
    });
  });
}

/** The first things to do inside. The end of the wrapper, wanted or not, ends this process at once. */
export function enterBox(statusWhenStopped: number): void {
  const lifeline = new Socket({ fd: LIFELINE_FD, readable: true, writable: false });
  const end = () => process.exit(statusWhenStopped);
  lifeline.on("end", end);
  lifeline.on("close", end);
  lifeline.on("error", end);
  lifeline.resume();
  makePrivateRun();
}

/** A /run of the box's own: what is named there (network namespaces, sockets, pid files) is seen by nobody else. */
export function makePrivateRun(): void {
  execFileSync("mount", ["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"]);
  mkdirSync("/run/netns");
}

/** The flags with which this user may call `unshare`. */
export function boxFlags(): readonly string[] {
  const box = ["--mount", "--pid", "--fork", "--kill-child", "--net", "--mount-proc"];
  const asUser = ["--user", "--map-root-user", ...box];
  const choices = process.getuid?.() === 0 ? [box, asUser] : [asUser];
  for (const flags of choices) {
    if (spawnSync("unshare", [...flags, "true"], { stdio: "ignore" }).status === 0) return flags;
  }
  throw new RainfrontError("RF_LAB_PRIVILEGE", "this user may not make network namespaces", {
    fix: "run it as root, or allow user namespaces: sysctl -w user.max_user_namespaces=10000 (Debian also kernel.unprivileged_userns_clone=1)",
  });
}

/** The inside may end while the terminal is in raw mode; nobody there could put it back. */
function rememberTerminal(): { restore(): void } {
  if (!process.stdin.isTTY) return { restore: () => {} };
  const saved = spawnSync("stty", ["-g"], { stdio: ["inherit", "pipe", "ignore"], encoding: "utf8" }).stdout?.trim();
  return {
    restore: () => {
      if (saved) spawnSync("stty", [saved], { stdio: ["inherit", "ignore", "ignore"] });
    },
  };
}

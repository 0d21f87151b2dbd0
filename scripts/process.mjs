// Small things the scripts share: progress lines, running programs, handing the terminal over to one.

import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");

/** Progress goes to stderr: stdout belongs to the program that a script starts. */
export function progress(text) {
  process.stderr.write(`rainfront: ${text}\n`);
}

export function fail(message, fix) {
  process.stderr.write(`rainfront: ${message}${fix === undefined ? "" : ` (fix: ${fix})`}\n`);
  process.exit(1);
}

/** Where system tools are found even if a user's PATH leaves the sbin folders out. */
export function searchPath() {
  const path = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  for (const folder of ["/usr/local/sbin", "/usr/sbin", "/sbin"]) if (!path.includes(folder)) path.push(folder);
  return path.join(delimiter);
}

export function has(program) {
  return searchPath()
    .split(delimiter)
    .some((folder) => {
      try {
        accessSync(join(folder, program), constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Runs to the end with everything it prints on stderr; true when it succeeded. */
export function runQuietly(program, args, options = {}) {
  return spawnSync(program, args, { cwd: ROOT, stdio: ["ignore", 2, 2], ...options }).status === 0;
}

/**
 * Runs a program in the foreground with this one's terminal, passes signals on, and resolves with its exit status
 * (128 + the number for a signal, as shells do).
 */
export function runInForeground(program, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: "inherit", ...options });
    // From a terminal, Ctrl-C reaches the child by itself: passing it on would make it two.
    const forward = (signal) => {
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    };
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
    for (const signal of signals) process.on(signal, forward);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      for (const name of signals) process.removeListener(name, forward);
      resolve(code ?? 128 + (SIGNAL_NUMBERS[signal] ?? 1));
    });
  });
}

const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGABRT: 6, SIGKILL: 9, SIGSEGV: 11, SIGTERM: 15 };

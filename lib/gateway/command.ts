// Runs system commands (iproute2) for the installer. Failures carry what the command said.

import { spawn } from "node:child_process";
import { RainfrontError } from "../errors.js";

/** Runs a command to its end; resolves with its standard output. Throws `RF_COMMAND` with its last line of error output. */
export function run(command: string, args: readonly string[], input?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    // In a session of its own: Ctrl-C in the daemon's terminal must not kill the commands that undo.
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], detached: true });
    let out = "";
    let err = "";
    child.stdout.on("data", (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      err += chunk.toString();
    });
    child.stdin.on("error", () => {}); // the command ended before it read everything: its exit status tells
    child.on("error", (cause) => {
      reject(
        new RainfrontError("RF_COMMAND", `cannot run ${command}: ${cause.message}`, {
          fix: `install ${command} (package iproute2)`,
          cause,
        }),
      );
    });
    child.on("close", (status) => {
      if (status === 0) resolve(out);
      else reject(new RainfrontError("RF_COMMAND", `${command} ${args.join(" ")} failed: ${lastLine(err)}`));
    });
    child.stdin.end(input ?? "");
  });
}

/** Runs several `ip` commands as one batch; stops at the first that fails. */
export function ipBatch(lines: readonly string[]): Promise<string> {
  return run("ip", ["-batch", "-"], `${lines.join("\n")}\n`);
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}

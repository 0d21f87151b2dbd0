// Runs a program to its end and takes what it printed. Used by everything in the lab that configures the kernel.

import { spawn } from "node:child_process";
import { RainfrontError } from "../errors.js";

export interface Outcome {
  /** Exit status; 128 + signal when a signal ended it. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Never rejects on an exit status; rejects when the program cannot be started. */
export function outcomeOf(argv: readonly string[], input = ""): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const [program = "", ...args] = argv;
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.stdin.on("error", () => {}); // it did not want its input; its status tells the rest
    child.on("error", (error) => reject(new RainfrontError("RF_LAB_COMMAND", `${program}: ${error.message}`)));
    child.on("close", (code) =>
      resolve({
        status: code ?? 128,
        stdout: Buffer.concat(stdout).toString("utf8"),
        stderr: Buffer.concat(stderr).toString("utf8"),
      }),
    );
    child.stdin.end(input);
  });
}

/** What it printed; rejects with RF_LAB_COMMAND when it failed. */
export async function run(argv: readonly string[], input = ""): Promise<string> {
  const outcome = await outcomeOf(argv, input);
  if (outcome.status === 0) return outcome.stdout;
  const why = outcome.stderr.trim().split("\n").slice(0, 3).join("; ");
  throw new RainfrontError("RF_LAB_COMMAND", `${argv.join(" ")} ended with status ${outcome.status}: ${why}`);
}

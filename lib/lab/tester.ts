// A running rainfront-testhost: commands go to its stdin, reports come from its stdout, one JSON line each. observer.ts and
// probes.ts say what is in the reports.

import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { z } from "zod";
import { RainfrontError } from "../errors.js";
import type { Host } from "./host.js";
import { testhostProgram } from "./paths.js";

type Waiter = { readonly resolve: (line: string) => void; readonly reject: (error: Error) => void };

export class Tester<Report> {
  readonly #schema: z.ZodType<Report>;
  readonly #child: ChildProcess;
  readonly #waiting: Waiter[] = [];
  #stderr = "";
  #ended: Error | undefined;

  constructor(host: Host, args: readonly string[], schema: z.ZodType<Report>) {
    this.#schema = schema;
    const child = host.spawn([testhostProgram(), ...args], { stdio: ["pipe", "pipe", "pipe"] });
    this.#child = child;
    child.stdin?.on("error", () => {}); // its end is reported below
    child.stderr?.on("data", (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString("utf8")).slice(-2000);
    });
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on("line", (line) => this.#waiting.shift()?.resolve(line));
    const end = (why: string) => {
      this.#ended = new RainfrontError(
        "RF_LAB_COMMAND",
        `the test host on ${host.name} ended (${why}): ${this.#stderr.trim()}`,
      );
      for (const waiter of this.#waiting.splice(0)) waiter.reject(this.#ended);
    };
    child.on("error", (error) => end(error.message));
    child.on("close", (code, signal) => end(signal ?? `status ${code}`));
  }

  /** A new window starts now. */
  reset(): void {
    this.#send("reset");
  }

  /** Notes the time under a name, for the next reports of this window. */
  mark(name: string): void {
    this.#send(`mark ${name}`);
  }

  /** What was seen since the last reset. */
  async report(): Promise<Report> {
    const line = await new Promise<string>((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      this.#waiting.push({ resolve, reject });
      this.#send("report");
    });
    return this.#schema.parse(JSON.parse(line));
  }

  #send(command: string): void {
    this.#child.stdin?.write(`${command}\n`);
  }
}

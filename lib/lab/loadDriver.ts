// The lab's end of the load client: starts it in the client's namespace, commands it, collects its results.

import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { RainfrontError } from "../errors.js";
import { asLoad, type Host } from "./host.js";
import { FIRST_SOURCE_PORT, type LoadCommand, loadEventSchema, type RequestResult } from "./loadProtocol.js";
import { LOAD_PROGRAM } from "./paths.js";
import { HTTP_PORT } from "./plan.js";

export class LoadDriver {
  readonly #child: ChildProcess;
  #results: RequestResult[] = [];
  #settled: ((since_ms: number | undefined) => void) | undefined;
  #idle: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;

  /** Where another client used the same sources a moment ago, the first source port is to be another: so connections are told apart. */
  constructor(
    client: Host,
    sources: readonly string[],
    targets: readonly string[],
    firstSourcePort = FIRST_SOURCE_PORT,
  ) {
    const ports = [String(HTTP_PORT), String(firstSourcePort)];
    const argv = [process.execPath, LOAD_PROGRAM, sources.join(","), targets.join(","), ...ports];
    this.#child = client.spawn(asLoad(argv), { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdin?.on("error", () => {}); // its end is reported below
    if (this.#child.stdout !== null) {
      createInterface({ input: this.#child.stdout }).on("line", (line) => this.#take(line));
    }
    this.#child.on("close", (code) =>
      this.#idle?.reject(new RainfrontError("RF_LAB_COMMAND", `the load client ended with status ${code}`)),
    );
  }

  /** Makes so many requests, or fewer if very many fail; resolves when all have ended. */
  async count(total: number, concurrency: number): Promise<void> {
    const idle = this.#nextIdle();
    this.#send({ do: "count", total, concurrency });
    await idle;
  }

  /** Makes requests at this rate until stop(). */
  rate(per_s: number): void {
    this.#send({ do: "rate", per_s });
  }

  /** Begins no more requests; resolves when the open ones have ended. */
  async stop(): Promise<void> {
    const idle = this.#nextIdle();
    this.#send({ do: "stop" });
    await idle;
  }

  /**
   * Resolves once no request has been open for longer than this, with a time: every request that was begun earlier has ended. With undefined
   * when there was no such moment within the deadline.
   */
  async settle(open_ms: number, deadline_ms: number): Promise<number | undefined> {
    return new Promise((resolve) => {
      const giveUp = setTimeout(() => this.#settled?.(undefined), deadline_ms);
      this.#settled = (since_ms) => {
        clearTimeout(giveUp);
        this.#settled = undefined;
        resolve(since_ms);
      };
      this.#send({ do: "settle", open_ms });
    });
  }

  /** The results that came since the last call. */
  takeResults(): RequestResult[] {
    const results = this.#results;
    this.#results = [];
    return results;
  }

  /** The client ends, with whatever is open. */
  close(): void {
    this.#child.stdin?.end();
  }

  #nextIdle(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#idle = { resolve, reject };
    });
  }

  #send(command: LoadCommand): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  #take(line: string): void {
    const event = loadEventSchema.parse(JSON.parse(line));
    switch (event.event) {
      case "result":
        this.#results.push(event.result);
        return;
      case "settled":
        this.#settled?.(event.since_ms);
        return;
      case "idle":
        this.#idle?.resolve();
        this.#idle = undefined;
    }
  }
}

// A program on a host that says a line when it is ready, answers lines with lines, and ends with its input.

import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { RainfrontError } from "../lib/errors.js";
import type { Host } from "../lib/lab/host.js";

export class Helper {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<void>;
  private constructor(host: Host, argv: readonly string[]) {
    this.#name = argv.join(" ");
    this.#child = host.spawn(argv, { stdio: ["pipe", "pipe", "inherit"] });
    this.#ended = new Promise((resolve) => this.#child.once("close", () => resolve()));
    this.#lines = createInterface({ input: this.#child.stdout as Readable })[Symbol.asyncIterator]();
  }

  /** When it has said its first line. */
  static async start(host: Host, argv: readonly string[]): Promise<Helper> {
    const helper = new Helper(host, argv);
    await helper.#nextLine();
    return helper;
  }

  /** The answer to a line. */
  ask(line: string): Promise<string> {
    this.#child.stdin?.write(`${line}\n`);
    return this.#nextLine();
  }

  end(): Promise<void> {
    this.#child.stdin?.end();
    return this.#ended;
  }

  async #nextLine(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done) throw new RainfrontError("RF_LAB_COMMAND", `${this.#name} ended before it said what it should`);
    return next.value;
  }
}

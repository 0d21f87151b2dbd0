// Programs that go on running on a host, at the priority of load, with one log. Used for what listens on servers and on the client.

import { closeSync, openSync } from "node:fs";
import { RainfrontError } from "../errors.js";
import { asLoad, type Host } from "./host.js";
import { waitFor } from "./waiting.js";

const START_DEADLINE_MS = 30_000;

export class Programs {
  readonly #host: Host;
  readonly #logFile: string;
  #ended: string | undefined;

  constructor(host: Host, logFile: string) {
    this.#host = host;
    this.#logFile = logFile;
  }

  start(argv: readonly string[]): void {
    const log = openSync(this.#logFile, "a", 0o600);
    const program = this.#host.spawn(asLoad(argv), { stdio: ["ignore", log, log] });
    closeSync(log);
    program.on("close", () => {
      this.#ended = `${argv[0]} ended, see ${this.#logFile}`;
    });
  }

  /** Resolves when connections to all of these TCP ports are accepted. */
  async listening(ports: readonly number[]): Promise<void> {
    await waitFor(`${this.#host.name} listens`, { deadline_ms: START_DEADLINE_MS }, async () => {
      if (this.#ended !== undefined) throw new RainfrontError("RF_LAB_COMMAND", `${this.#host.name}: ${this.#ended}`);
      const sockets = await this.#host.run(["ss", "-Hltn"]);
      const closed = ports.filter((port) => !new RegExp(`[:*]${port}\\s`).test(sockets));
      return closed.length === 0 ? { met: undefined } : { unmet: `${closed.join(", ")} closed` };
    });
  }
}

// The lab's end of held connections: starts their servers and the client that holds them, commands it, takes its results. Used by scenarios/survive.ts.

import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { RainfrontError } from "../errors.js";
import { type HeldCommand, type HeldEvent, type HeldResult, heldEventSchema } from "./heldProtocol.js";
import { asLoad, type Host } from "./host.js";
import { HELD_PROGRAM } from "./paths.js";
import { HELD_PORT } from "./plan.js";

export class HeldConnections {
  readonly #client: ChildProcess;
  #next: { readonly resolve: (event: HeldEvent) => void; readonly reject: (error: Error) => void } | undefined;

  private constructor(client: ChildProcess) {
    this.#client = client;
    client.stdin?.on("error", () => {}); // its end is reported below
    if (client.stdout !== null) {
      createInterface({ input: client.stdout }).on("line", (line) =>
        this.#next?.resolve(heldEventSchema.parse(JSON.parse(line))),
      );
    }
    client.on("close", (code) =>
      this.#next?.reject(
        new RainfrontError("RF_LAB_COMMAND", `the client that holds connections ended with status ${code}`),
      ),
    );
  }

  static async start(
    client: Host,
    servers: readonly Host[],
    sources: readonly string[],
    targets: readonly string[],
  ): Promise<HeldConnections> {
    const program = (host: Host, argv: readonly string[]) =>
      host.spawn(asLoad([process.execPath, HELD_PROGRAM, ...argv]), { stdio: ["pipe", "pipe", "inherit"] });
    await Promise.all(
      servers.map(async (host) => {
        const server = program(host, ["serve", String(HELD_PORT)]);
        if (server.stdout !== null) await once(server.stdout, "data");
      }),
    );
    return new HeldConnections(program(client, ["hold", sources.join(","), targets.join(","), String(HELD_PORT)]));
  }

  /** Resolves with how many are open. */
  async open(downloads: number, idles: number): Promise<number> {
    const event = await this.#ask({ do: "open", downloads, idles });
    return event.event === "open" ? event.opened : 0;
  }

  /** Resolves with what became of each. */
  async finish(patience_ms: number): Promise<readonly HeldResult[]> {
    const event = await this.#ask({ do: "finish", patience_ms });
    return event.event === "finished" ? event.results : [];
  }

  #ask(command: HeldCommand): Promise<HeldEvent> {
    return new Promise((resolve, reject) => {
      this.#next = { resolve, reject };
      this.#client.stdin?.write(`${JSON.stringify(command)}\n`);
    });
  }
}

// The control socket of a running lab, so that a second terminal can do to it what keys do: kill, pause and revive
// gateways, and run commands on its hosts. One request line, one answer line. Both ends are here.

import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { z } from "zod";
import { RainfrontError } from "../errors.js";
import { outcomeOf } from "./commands.js";
import type { Gateway } from "./gateway.js";
import type { Lab } from "./lab.js";
import type { RemoteCommand } from "./options.js";
import { liveControlSockets } from "./runFolder.js";

const commandSchema: z.ZodType<RemoteCommand> = z.discriminatedUnion("do", [
  z.object({ do: z.enum(["kill", "pause", "revive"]), node: z.string() }),
  z.object({ do: z.literal("exec"), host: z.string(), argv: z.array(z.string()).min(1) }),
]);

const answerSchema = z.object({ status: z.int(), stdout: z.string(), stderr: z.string() });
type Answer = z.infer<typeof answerSchema>;

/** Makes what was dead or stopped run again. */
export async function revive(gateway: Gateway): Promise<void> {
  if (gateway.state === "paused") gateway.resume();
  else await gateway.revive();
}

export function serveControl(lab: Lab, path: string): void {
  const server = createServer((socket) => {
    socket.on("error", () => {}); // the other terminal is gone
    createInterface({ input: socket }).once("line", async (line) => {
      socket.end(`${JSON.stringify(await answer(lab, line))}\n`);
    });
  });
  server.listen(path);
}

async function answer(lab: Lab, line: string): Promise<Answer> {
  try {
    const command = commandSchema.parse(JSON.parse(line));
    switch (command.do) {
      case "kill":
        await lab.gateway(command.node).kill();
        return done(`${command.node} is killed`);
      case "pause":
        lab.gateway(command.node).pause();
        return done(`${command.node} is paused`);
      case "revive":
        await revive(lab.gateway(command.node));
        return done(`${command.node} is revived`);
      case "exec":
        return await outcomeOf(lab.host(command.host).inside(command.argv));
    }
  } catch (error) {
    const message = error instanceof RainfrontError ? error.toLine() : String(error);
    return { status: 1, stdout: "", stderr: `lab: ${message}\n` };
  }
}

function done(what: string): Answer {
  return { status: 0, stdout: `${what}\n`, stderr: "" };
}

/** Sends a command to the latest lab of this user that runs. */
export async function sendCommand(command: RemoteCommand): Promise<Answer> {
  for (const path of liveControlSockets()) {
    const line = await exchange(path, JSON.stringify(command));
    if (line !== undefined) return answerSchema.parse(JSON.parse(line));
  }
  throw new RainfrontError("RF_LAB_NOT_RUNNING", "no lab of yours is running", { fix: "start one with: npm run lab" });
}

/** undefined: nobody listens there (yet). */
function exchange(path: string, request: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path, () => socket.write(`${request}\n`));
    const chunks: Buffer[] = [];
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", () => resolve(undefined));
    socket.on("close", () => resolve(chunks.length === 0 ? undefined : Buffer.concat(chunks).toString("utf8")));
  });
}

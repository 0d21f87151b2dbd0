// `rainfront drain NODE`.

import { setTimeout as delay } from "node:timers/promises";
import { callControl } from "../api/controlClient.js";
import { RainfrontError } from "../errors.js";
import { type Console, memberOf } from "./common.js";

const LOOK_EVERY_MS = 250;
const STAYING =
  "without keepConnections its open connections are not moved: they break when it stops, or at once with assignment: authority";

export interface DrainOptions {
  /** Ends a drain. */
  readonly stop?: true;
  readonly wait: number;
  readonly json?: true;
}

/** Until the node has given away what it has, unless `wait` (seconds) is 0. Throws `RF_DRAIN_TIMEOUT`. */
export async function drain(socketPath: string, node: string, options: DrainOptions, console: Console): Promise<void> {
  const status = await callControl(socketPath, "status", {});
  const target = memberOf(status, node);
  const isDraining = options.stop !== true;
  await callControl(socketPath, "drain", { node: target.id, isDraining });
  const isDone = isDraining && options.wait > 0 && (await waitFor(socketPath, target, options.wait));
  // Without keepConnections nobody else can go on with what its firewall knows.
  const movesConnections = status.connections !== undefined;
  if (options.json === true) {
    console.out(`${JSON.stringify({ node: target.id, isDraining, isDone, movesConnections })}\n`);
    return;
  }
  if (!isDraining) console.out(`${target.name} (node ${target.id}) takes part again\n`);
  else if (isDone) console.out(`${target.name} (node ${target.id}) has nothing left that others could take\n`);
  else console.out(`${target.name} (node ${target.id}) gives away what it has\n`);
  if (isDraining && !movesConnections) console.out(`${STAYING}\n`);
}

async function waitFor(
  socketPath: string,
  { id, name }: { readonly id: number; readonly name: string },
  wait_s: number,
): Promise<boolean> {
  for (const until_ms = performance.now() + wait_s * 1000; performance.now() < until_ms; ) {
    const { drains, members } = await callControl(socketPath, "status", {});
    if (drains.some(({ node, isDone }) => node === id && isDone)) return true;
    if (!members.some((member) => member.id === id)) {
      throw new RainfrontError("RF_NODE_UNKNOWN", `${name} left the group while it drained`, {
        fix: "see its log for why; what it had is the others' as after any failure",
      });
    }
    await delay(LOOK_EVERY_MS);
  }
  throw new RainfrontError(
    "RF_DRAIN_TIMEOUT",
    `${name} has not given everything away within ${wait_s} s; it goes on doing so`,
    {
      fix: "see `rainfront status` for what is left, or wait longer with --wait",
    },
  );
}

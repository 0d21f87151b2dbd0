// `rainfront down`.

import { callControl, waitUntilGone } from "../api/controlClient.js";
import { loadConfig } from "../config/load.js";
import { RainfrontError } from "../errors.js";
import { type Console, type SocketOptions, socketPathFor } from "./common.js";

/** Leaving hands VIPs over and removes interfaces; far longer than that takes. */
const LEAVE_TIMEOUT_MS = 15_000;

export interface DownOptions extends SocketOptions {
  readonly node?: number;
  readonly force?: true;
}

/** Returns when the daemon has left and its socket is gone; where none runs and the configuration is named, when what a killed one left is removed. */
export async function down(options: DownOptions, console: Console): Promise<void> {
  const socketPath = socketPathFor(options);
  try {
    const { pid } = await callControl(socketPath, "down", {}, { timeout_ms: LEAVE_TIMEOUT_MS });
    await waitUntilGone(socketPath, LEAVE_TIMEOUT_MS);
    console.out(`the daemon, pid ${pid}, has left the group and removed what it had installed\n`);
  } catch (error) {
    if (!(error instanceof RainfrontError) || error.code !== "RF_NOT_RUNNING") throw error;
    await downWithoutDaemon(options, error, console);
  }
}

async function downWithoutDaemon(options: DownOptions, error: RainfrontError, console: Console): Promise<void> {
  if (options.config === undefined) {
    throw new RainfrontError(error.code, error.message, {
      fix: "name its socket with --socket PATH; with --config FILE, what a killed daemon left is removed",
      cause: error,
    });
  }
  const config = loadConfig(options.config, { node: options.node });
  // Loaded late: it needs the native addon.
  const { removeLeftovers } = await import("../gateway/leftovers.js");
  const found = await removeLeftovers(config, options.force === true);
  console.out(
    found ? "no daemon runs; what one had left is removed\n" : "no daemon runs, and none has left anything\n",
  );
}

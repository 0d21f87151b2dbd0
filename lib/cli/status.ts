// `rainfront status`: once or every second, as tables or as JSON.

import { callControl } from "../api/controlClient.js";
import type { GatewayStatus } from "../api/controlProtocol.js";
import { RainfrontError } from "../errors.js";
import type { Console } from "./common.js";
import { renderStatus } from "./statusTable.js";

const WATCH_PERIOD_MS = 1000;
const CLEAR_SCREEN = "\u001b[H\u001b[2J";

export interface StatusOptions {
  readonly json?: true;
  readonly watch?: true;
}

export async function status(socketPath: string, options: StatusOptions, console: Console): Promise<void> {
  const render = (result: GatewayStatus) => (options.json ? `${JSON.stringify(result)}\n` : renderStatus(result));
  if (options.watch) await watch(socketPath, render, options, console);
  else console.out(render(await callControl(socketPath, "status", {})));
}

/** Goes on while the daemon is away: an operator who watches a restart wants to see it come back. */
async function watch(
  socketPath: string,
  render: (result: GatewayStatus) => string,
  options: StatusOptions,
  console: Console,
): Promise<void> {
  const clear = console.isTerminal && !options.json ? CLEAR_SCREEN : "";
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  try {
    while (!stop.signal.aborted) {
      try {
        console.out(clear + render(await callControl(socketPath, "status", {})));
      } catch (error) {
        if (!(error instanceof RainfrontError)) throw error;
        console.out(clear);
        console.err(`rainfront: ${error.toLine()}\n`);
      }
      await pause(WATCH_PERIOD_MS, stop.signal);
    }
  } finally {
    process.removeListener("SIGINT", onSignal).removeListener("SIGTERM", onSignal);
  }
}

function pause(duration_ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(resolve, duration_ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

// `rainfront down`.

import { callControl, waitUntilGone } from "../api/controlClient.js";
import type { Console } from "./common.js";

/** Leaving hands VIPs over and removes interfaces; far longer than that takes. */
const LEAVE_TIMEOUT_MS = 15_000;

/** Returns when the daemon has left and its socket is gone. */
export async function down(socketPath: string, console: Console): Promise<void> {
  const { pid } = await callControl(socketPath, "down", {}, { timeout_ms: LEAVE_TIMEOUT_MS });
  await waitUntilGone(socketPath, LEAVE_TIMEOUT_MS);
  console.out(`the daemon, pid ${pid}, has left the group and removed what it had installed\n`);
}

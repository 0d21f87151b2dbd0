// `rainfront away`.

import { callControl, waitUntilGone } from "../api/controlClient.js";
import type { Console } from "./common.js";

/** The others agree within a few rounds of the token, and leaving takes as long. */
const AWAY_TIMEOUT_MS = 15_000;

/** Returns when the daemon has gone; its data plane goes on for `for_ms` from about now. */
export async function away(socketPath: string, for_ms: number, console: Console): Promise<void> {
  const { pid } = await callControl(socketPath, "away", { for_ms }, { timeout_ms: AWAY_TIMEOUT_MS });
  await waitUntilGone(socketPath, AWAY_TIMEOUT_MS);
  console.out(
    `the daemon, pid ${pid}, is away; its data plane goes on for ${for_ms / 1000} s: start it again with \`rainfront up\`\n`,
  );
}

// `rainfront reload-keys`.

import { callControl } from "../api/controlClient.js";
import type { Console } from "./common.js";

export async function reloadKeys(socketPath: string, console: Console): Promise<void> {
  const { keys } = await callControl(socketPath, "reloadKeys", {});
  console.out(`${keys} ${keys === 1 ? "key" : "keys"} in force\n`);
}

// `rainfront join`.

import { callControl } from "../api/controlClient.js";
import type { Console } from "./common.js";

export async function join(socketPath: string, console: Console): Promise<void> {
  await callControl(socketPath, "join", {});
  console.out("asks for a place in the group\n");
}

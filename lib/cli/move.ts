// `rainfront move VIP NODE`.

import { callControl } from "../api/controlClient.js";
import { canonicalAddress } from "../config/address.js";
import { RainfrontError } from "../errors.js";
import { type Console, memberOf } from "./common.js";

export async function move(socketPath: string, address: string, node: string, console: Console): Promise<void> {
  const vip = canonicalAddress(address);
  if (vip === undefined) {
    throw new RainfrontError("RF_USAGE", `${address} is not an address`, { fix: "give the VIP first, then the node" });
  }
  const status = await callControl(socketPath, "status", {});
  const target = memberOf(status, node);
  await callControl(socketPath, "move", { vip, node: target.id });
  console.out(`${vip} goes to ${target.name} (node ${target.id})\n`);
}

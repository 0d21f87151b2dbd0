// `rainfront move VIP NODE`.

import { callControl } from "../api/controlClient.js";
import type { GatewayStatus } from "../api/controlProtocol.js";
import { canonicalAddress } from "../config/address.js";
import { RainfrontError } from "../errors.js";
import type { Console } from "./common.js";

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

function memberOf(status: GatewayStatus, text: string): { readonly id: number; readonly name: string } {
  const member = status.members.find((candidate) => candidate.name === text || String(candidate.id) === text);
  if (member !== undefined) return member;
  const members = status.members.map((candidate) => candidate.name).join(", ");
  throw new RainfrontError("RF_NODE_UNKNOWN", `${text} is not a member of the group now`, {
    fix: members === "" ? "wait until this node has joined a group" : `give one of ${members}`,
  });
}

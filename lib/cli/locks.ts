// `rainfront locks`: the locks that somebody in the group has or waits for.

import { callControl } from "../api/controlClient.js";
import type { LockStatus } from "../api/lockProtocol.js";
import type { Console } from "./common.js";
import { table } from "./statusTable.js";

export async function locks(socketPath: string, options: { readonly json?: true }, console: Console): Promise<void> {
  const answer = await callControl(socketPath, "locks", {});
  console.out(options.json ? `${JSON.stringify(answer)}\n` : renderLocks(answer.locks));
}

function renderLocks(locks: readonly LockStatus[]): string {
  if (locks.length === 0) return "no locks\n";
  const rows = locks.map(({ name, holder, fence, waiters, client }) => [
    name,
    holder?.name ?? "-",
    holder === null ? "-" : fence,
    String(waiters),
    client ?? "",
  ]);
  return `${table(["lock", "holder", "fence", "waiting", "client here"], rows)}\n`;
}

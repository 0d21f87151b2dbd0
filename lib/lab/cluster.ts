// Is the cluster as it should be? Asked of every running daemon over its control socket; the judgement itself is pure.

import type { GatewayStatus } from "../api/controlProtocol.js";
import type { Gateway } from "./gateway.js";
import { SEGMENTS } from "./plan.js";
import { type Patience, waitFor } from "./waiting.js";

export interface Wish {
  /** Every node owns its share of each segment's VIPs. */
  readonly spread?: boolean;
  /** Every VIP that prefers a node is there. */
  readonly preferred?: boolean;
}

/** What is not as it should be among these running nodes; undefined when all is well. */
export function clusterProblem(statuses: readonly GatewayStatus[], wish: Wish = {}): string | undefined {
  const ids = statuses.map((status) => status.node.id).sort((a, b) => a - b);
  const first = statuses[0];
  if (first === undefined) return "no gateway runs";
  for (const status of statuses) {
    const who = status.node.name;
    if (status.state !== "member") return `${who} is ${status.state}`;
    if (!status.lease.valid) return `${who} has no valid lease`;
    const members = status.members.map((member) => member.id).sort((a, b) => a - b);
    if (members.join() !== ids.join())
      return `${who} sees the members ${members.join(",")}, running are ${ids.join(",")}`;
    const unready = status.members.find((member) => !member.ready);
    if (unready !== undefined) return `${unready.name} is not ready, says ${who}`;
    if (status.epoch !== first.epoch) return `${who} is in epoch ${status.epoch}, ${first.node.name} in ${first.epoch}`;
  }
  for (const vip of first.vips) {
    const answering = statuses.filter((status) => ownVip(status, vip.address)?.answering);
    const owner = answering[0]?.node;
    if (answering.length !== 1 || owner === undefined) return `${answering.length} nodes answer for ${vip.address}`;
    const dissenter = statuses.find((status) => ownVip(status, vip.address)?.currentHost !== owner.id);
    if (dissenter !== undefined) return `${dissenter.node.name} does not see ${vip.address} on ${owner.name}`;
  }
  const stray = wish.preferred
    ? first.vips.find((vip) => vip.preferredHost !== 0 && vip.currentHost !== vip.preferredHost)
    : undefined;
  if (stray !== undefined) return `${stray.address} is on node ${stray.currentHost}, not on ${stray.preferredHost}`;
  return wish.spread ? spreadProblem(first, ids) : undefined;
}

function spreadProblem(status: GatewayStatus, ids: readonly number[]): string | undefined {
  for (const segment of SEGMENTS) {
    const vips = status.vips.filter((vip) => vip.segment === segment);
    const counts = ids.map((id) => vips.filter((vip) => vip.currentHost === id).length);
    if (Math.max(...counts) - Math.min(...counts) > 1) return `${segment} VIPs are not spread: ${counts.join(", ")}`;
  }
  return undefined;
}

function ownVip(status: GatewayStatus, address: string): GatewayStatus["vips"][number] | undefined {
  return status.vips.find((vip) => vip.address === address);
}

/** Resolves with the status of every running gateway once all agree. */
export async function waitForCluster(
  gateways: readonly Gateway[],
  patience: Patience,
  wish: Wish = {},
): Promise<readonly GatewayStatus[]> {
  return waitFor("the cluster is settled", patience, async () => {
    const failed = gateways.find((gateway) => gateway.state === "failed");
    if (failed !== undefined) return { unmet: `the daemon of ${failed.plan.name} ended, see ${failed.logFile}` };
    const running = gateways.filter((gateway) => gateway.state === "running");
    const answers = await Promise.allSettled(running.map((gateway) => gateway.status()));
    const statuses: GatewayStatus[] = [];
    for (const [index, answer] of answers.entries()) {
      if (answer.status === "rejected") return { unmet: `${running[index]?.plan.name}: ${String(answer.reason)}` };
      statuses.push(answer.value);
    }
    const problem = clusterProblem(statuses, wish);
    return problem === undefined ? { met: statuses } : { unmet: problem };
  });
}

// What the stories of whole clusters have in common.
import assert from "node:assert/strict";
import { decode } from "../../lib/raincore/messages.js";
import type { Persistence, VipConfig } from "../../lib/vip/vipTable.js";
import type { World } from "./world.js";

export function isOfType(bytes: Uint8Array, type: string): boolean {
  const result = decode(bytes);
  return result.ok && result.message.type === type;
}

export function vipsOf(persistence: Persistence, preferredHost: number): VipConfig[] {
  return [{ address: "192.0.2.101", segment: "external", preferredHost, persistence }];
}

export const VIP = "192.0.2.101";

export function settle(world: World, limit_ms = 1500): number {
  const took_ms = world.runUntil(() => world.isSettled, limit_ms);
  assert.ok(took_ms !== undefined, "the cluster settles");
  assert.deepEqual(world.checker.violations, []);
  return took_ms;
}

export function countersOf(world: World, name: string): number {
  return world.nodes.reduce((sum, node) => sum + (node.status.counters[name] ?? 0), 0);
}

/** How often a node gave up its membership to come in anew. */
export function lossesOf(world: World, nodeId: number): number {
  const counters = Object.entries(world.node(nodeId).status.counters);
  return counters.filter(([name]) => name.startsWith("lost_")).reduce((sum, [, count]) => sum + count, 0);
}

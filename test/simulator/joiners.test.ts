// Nodes that ask to come in and cannot be given the token: they must not cost the others what they serve.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decode } from "../../lib/raincore/messages.js";
import { MOVE_GUARD_MS } from "../../lib/vip/policy.js";
import { World } from "./world.js";

/** Hears everything but tokens: too long for its NIC, say. */
function deafenToTokens(world: World, nodeIds: readonly number[]): void {
  world.network.drop = (_from, to, _path, plain) => {
    if (!nodeIds.includes(to)) return false;
    const result = decode(plain);
    return result.ok && result.message.type === "token";
  };
}

for (const [others, deaf] of [
  [2, 1],
  [2, 4],
  [3, 1],
  [3, 2],
  [3, 3],
  [6, 1],
  [6, 4],
] as const) {
  test(`${others} nodes serve, and take over from a dead one, while ${deaf} ask that cannot be given the token`, () => {
    const world = new World({ seed: others, nodes: others + deaf, machinesLive: false });
    const joiners = Array.from({ length: deaf }, (_, index) => others + 1 + index);
    deafenToTokens(world, joiners);
    for (const node of world.nodes) if (node.nodeId <= others) node.start();
    world.run(4 * world.startupWait_ms);
    world.checker.resetSilence();
    for (const nodeId of joiners) world.node(nodeId).start();
    world.run(2000);
    const { bound_ms, handOverFail_ms, lease_ms } = world.timers;
    assertSilence(world, 0);
    const [address = ""] = world.addresses;
    world.node(world.owner(address) ?? 0).crash();
    world.run(2000);
    // One may have been put in just before, and one just after; a node that is left alone tries each of them.
    const tries_max = others === 2 ? deaf + 1 : 2;
    // Its own lease may end meanwhile; who has none waits for one more.
    const own_ms = tries_max * handOverFail_ms > lease_ms ? lease_ms : 0;
    assertSilence(world, bound_ms + tries_max * handOverFail_ms + own_ms);
    assert.deepEqual(world.checker.violations, []);
    const tries = world.nodes.reduce((sum, { status }) => sum + (status.counters.hand_over_failed ?? 0), 0);
    assert.ok(tries > others, "they were tried again");
    world.network.drop = () => false;
    const areIn = () => joiners.every((nodeId) => world.node(nodeId).status.members.length === others + deaf - 1);
    assert.ok(world.runUntil(areIn, 3000) !== undefined, "as soon as they can, they come in");
  });
}

function assertSilence(world: World, longest_ms: number): void {
  for (const address of world.addresses) {
    const silence_ms = world.checker.longestSilence_ms(address);
    // What moves to another owner is not answered for the time of the guard.
    assert.ok(silence_ms <= longest_ms + MOVE_GUARD_MS + 1, `${address}: ${silence_ms.toFixed(1)} of ${longest_ms} ms`);
  }
}

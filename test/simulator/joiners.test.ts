// Nodes that ask to come in and cannot be given the token: they must not cost the others what they serve.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decode } from "../../lib/raincore/messages.js";
import { MOVE_GUARD_MS } from "../../lib/vip/policy.js";
import { World } from "./world.js";

/** Hears everything but tokens: too long for its NIC, say. */
function deafenToTokens(world: World, nodeId: number): void {
  world.network.drop = (_from, to, _path, plain) => {
    if (to !== nodeId) return false;
    const result = decode(plain);
    return result.ok && result.message.type === "token";
  };
}

for (const others of [2, 3, 6]) {
  test(`${others} nodes serve, and take over from a dead one, while somebody asks who cannot be given the token`, () => {
    const world = new World({ seed: others, nodes: others + 1, machinesLive: false });
    const joiner = others + 1;
    deafenToTokens(world, joiner);
    for (const node of world.nodes) if (node.nodeId !== joiner) node.start();
    world.run(4 * world.startupWait_ms);
    world.checker.resetSilence();
    world.node(joiner).start();
    world.run(2000);
    const { bound_ms, handOverFail_ms } = world.timers;
    assertSilence(world, 0);
    const [address = ""] = world.addresses;
    world.node(world.owner(address) ?? 0).crash();
    world.run(2000);
    // It may have been put in just before, or just after.
    assertSilence(world, bound_ms + 2 * handOverFail_ms);
    assert.deepEqual(world.checker.violations, []);
    const tries = world.nodes.reduce((sum, { status }) => sum + (status.counters.hand_over_failed ?? 0), 0);
    assert.ok(tries > others, "it was tried again");
    world.network.drop = () => false;
    const isIn = () => world.node(joiner).status.members.length === others;
    assert.ok(world.runUntil(isIn, 3000) !== undefined, "as soon as it can, it comes in");
  });
}

function assertSilence(world: World, longest_ms: number): void {
  for (const address of world.addresses) {
    const silence_ms = world.checker.longestSilence_ms(address);
    // What moves to another owner is not answered for the time of the guard.
    assert.ok(silence_ms <= longest_ms + MOVE_GUARD_MS + 1, `${address}: ${silence_ms.toFixed(1)} of ${longest_ms} ms`);
  }
}

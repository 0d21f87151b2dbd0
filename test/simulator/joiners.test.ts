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

test("a joiner that could not hear while another one formed a group waits for that group's leases", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const world = new World({ seed, nodes: 3, machinesLive: false, failoverTarget_ms: 280 });
    const [lower, higher] = [world.node(1), world.node(2)];
    higher.start();
    world.run(world.startupWait_ms);
    lower.start();
    const u = world.unit_ms;
    world.after(world.startupWait_ms - 6.5 * u, () => higher.pause(true));
    assert.ok(world.runUntil(() => lower.status.state === "member", 2 * world.startupWait_ms) !== undefined);
    // Whoever had formed it says no more, and answers for its VIPs as long as its lease lasts.
    world.pause(lower.nodeId, 40 * u);
    world.after(u, () => higher.resume());
    world.run(100 * u);
    assert.deepEqual(world.checker.violations, [], `seed ${seed}`);
    assert.equal(higher.status.state, "member");
  }
});

test("a joiner that has heard a group does not form one at once because all have asked lately", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const world = new World({ seed, nodes: 3, machinesLive: false, failoverTarget_ms: 280 });
    const [first, forms, late] = [world.node(1), world.node(2), world.node(3)];
    const u = world.unit_ms;
    forms.start();
    world.run(world.startupWait_ms - 20 * u);
    first.start();
    world.run(u);
    // Not heard for long enough, the lower one is waited for no more.
    world.network.drop = (from, to) => from === first.nodeId && to === forms.nodeId;
    assert.ok(world.runUntil(() => forms.status.state === "member", world.startupWait_ms) !== undefined);
    world.run(u);
    world.pause(forms.nodeId, 40 * u);
    late.start();
    world.run(100 * u);
    assert.deepEqual(world.checker.violations, [], `seed ${seed}`);
    world.network.drop = () => false;
    assert.ok(world.runUntil(() => first.status.members.length === 3, 4 * world.startupWait_ms) !== undefined);
  }
});

function assertSilence(world: World, longest_ms: number): void {
  for (const address of world.addresses) {
    const silence_ms = world.checker.longestSilence_ms(address);
    // What moves to another owner is not answered for the time of the guard.
    assert.ok(silence_ms <= longest_ms + MOVE_GUARD_MS + 1, `${address}: ${silence_ms.toFixed(1)} of ${longest_ms} ms`);
  }
}

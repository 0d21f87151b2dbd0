// Where VIPs go when nodes fail, come back or are asked to, and how nodes leave, one story per test.
import assert from "node:assert/strict";
import { test } from "node:test";
import { countersOf, isOfType, settle, VIP, vipsOf } from "./stories.js";
import { isAck } from "./wireKinds.js";
import { World } from "./world.js";

test("flag 0: a move happens once, and after a failure the VIP does not go back", () => {
  const world = new World({ seed: 7, nodes: 3, vips: vipsOf(0, 0) });
  world.startAndSettle();
  world.node(1).vip.requestMove(VIP, 3);
  world.run(300);
  assert.equal(world.owner(VIP), 3);
  world.node(3).crash();
  world.run(300);
  const heir = world.owner(VIP);
  assert.ok(heir !== undefined && heir !== 3);
  world.node(3).start();
  world.run(1000);
  assert.equal(world.owner(VIP), heir);
});

test("flag 1: the VIP stays with the node it failed over to", () => {
  const world = new World({ seed: 8, nodes: 3, vips: vipsOf(1, 2) });
  world.startAndSettle();
  world.run(300);
  assert.equal(world.owner(VIP), 2);
  world.node(2).crash();
  world.run(300);
  const heir = world.owner(VIP);
  assert.ok(heir !== undefined);
  world.node(2).start();
  world.run(1000);
  assert.equal(world.owner(VIP), heir);
  assert.equal(world.node(heir).vip.table()[0]?.preferredHost, heir);
});

test("flag 3: the VIP returns to its preferred node whenever that is back", () => {
  const world = new World({ seed: 9, nodes: 3, vips: vipsOf(3, 2) });
  world.startAndSettle();
  world.run(300);
  for (let round = 0; round < 2; round++) {
    world.node(2).crash();
    world.run(300);
    assert.notEqual(world.owner(VIP), 2);
    world.node(2).start();
    world.run(1000);
    assert.equal(world.owner(VIP), 2);
  }
});

test("a move asked of any node is done within two rounds, with no more silence than the guard and a hop", () => {
  for (const persistence of [0, 1, 3] as const) {
    const world = new World({ seed: 10, nodes: 3, vips: vipsOf(persistence, 1) });
    world.startAndSettle();
    world.run(300);
    world.checker.resetSilence();
    world.node(2).vip.requestMove(VIP, 3);
    const took_ms = world.runUntil(() => world.owner(VIP) === 3, 500);
    assert.ok(took_ms !== undefined && took_ms <= 3 * world.timers.rotation_ms);
    assert.ok(world.checker.longestSilence_ms(VIP) <= world.timers.rotation_ms + 5);
    assert.equal(world.node(3).vip.table()[0]?.preferredHost, persistence === 0 ? 0 : 3);
  }
});

test("a node that leaves hands its VIPs over without detection time and closes", () => {
  const world = new World({ seed: 11, nodes: 3 });
  world.startAndSettle();
  world.run(300);
  const leaver = world.owner(world.addresses[0] ?? "") ?? 1;
  world.checker.resetSilence();
  world.node(leaver).leave();
  assert.ok(settle(world) <= 2 * world.timers.rotation_ms);
  assert.equal(world.node(leaver).status.state, "closed");
  for (const address of world.addresses)
    assert.ok(world.checker.longestSilence_ms(address) < world.timers.handOverFail_ms);
  assert.equal(countersOf(world, "hand_over_failed"), 0);
  world.node(leaver).start();
  world.run(1000);
  settle(world);
});

test("a node that is told to leave while its hand-over is under way hands its VIPs over with the next token", () => {
  const world = new World({ seed: 15, nodes: 3, calmRounds: 2 });
  world.startAndSettle();
  world.run(500);
  const leaver = world.holder?.nodeId ?? 1;
  world.runUntil(() => world.holder === undefined || world.holder.nodeId !== leaver, 500);
  world.checker.resetSilence();
  // Its token went on quietly; it is sent again, and acknowledged, before another one comes.
  world.network.drop = (_from, to, _path, plain) => to === leaver && !isAck(plain);
  world.run(4 * world.unit_ms);
  world.node(leaver).leave();
  world.run(world.unit_ms);
  world.network.drop = () => false;
  world.run(3 * world.timers.bound_ms);
  assert.equal(world.node(leaver).status.state, "closed");
  const silent_ms = Math.max(...world.addresses.map((address) => world.checker.longestSilence_ms(address)));
  assert.ok(silent_ms < 0.5 * world.timers.lease_ms, `${silent_ms} ms`);
  settle(world);
});

test("the last node closes at once, and one that never found a group, too", () => {
  const world = new World({ seed: 12, nodes: 2 });
  world.node(1).start();
  world.node(2).start();
  world.node(2).leave();
  assert.equal(world.node(2).status.state, "closed");
  world.run(world.startupWait_ms + 100);
  world.node(1).leave();
  assert.equal(world.node(1).status.state, "closed");
  assert.deepEqual(world.answering(world.addresses[0] ?? ""), []);
});

test("a node that has to leave without ever getting the token closes after one lease", () => {
  const world = new World({ seed: 13, nodes: 2 });
  world.startAndSettle();
  world.runUntil(() => world.holder?.nodeId === 2, 100);
  world.node(2).crash();
  world.network.drop = (_from, _to, _path, bytes) => isOfType(bytes, "call");
  world.node(1).leave();
  const took_ms = world.runUntil(() => world.node(1).status.state === "closed", 1000);
  assert.ok(took_ms !== undefined && took_ms <= world.timers.lease_ms + 10);
});

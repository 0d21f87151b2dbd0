// How nodes come, stop and come back, one story per test.
import assert from "node:assert/strict";
import { test } from "node:test";
import { countersOf, isOfType, lossesOf, settle, VIP, vipsOf } from "./stories.js";
import { World } from "./world.js";

test("three nodes that start together form one group, at the lowest node, without ever being two", () => {
  const world = new World({ seed: 1, nodes: 3 });
  world.startAll();
  const took_ms = settle(world);
  assert.ok(took_ms <= world.startupWait_ms + world.timers.bound_ms);
  assert.equal(countersOf(world, "lost_merged"), 0);
  assert.equal(world.node(1).status.members[0]?.nodeId, 1);
});

test("a node alone forms a group after its startup wait and owns every VIP", () => {
  const world = new World({ seed: 2, nodes: 3 });
  world.node(3).start();
  world.run(world.startupWait_ms - 1);
  assert.equal(world.node(3).status.state, "joining");
  world.run(world.timers.bound_ms);
  for (const address of world.addresses) assert.deepEqual(world.answering(address), [3]);
});

test("a node that starts later joins at once, and VIPs spread to it without a gap of more than the guard", () => {
  const world = new World({ seed: 3, nodes: 2 });
  world.node(2).start();
  world.run(world.startupWait_ms + 300);
  world.checker.resetSilence();
  world.node(1).start();
  assert.ok(settle(world) < world.timers.bound_ms);
  world.run(500);
  assert.deepEqual(world.hostsInTable(1).sort(), [1, 1, 2, 2]);
  for (const address of world.addresses)
    assert.ok(world.checker.longestSilence_ms(address) <= world.timers.rotation_ms);
});

test("a node that was stopped for 3 s answers for nothing until it is back in the group", () => {
  const world = new World({ seed: 4, nodes: 3, vips: vipsOf(0, 1) });
  world.startAndSettle();
  world.run(300);
  const victim = world.owner(VIP) ?? 0;
  const { epoch } = world.node(victim).status;
  world.pause(victim, 3000);
  world.run(2999);
  assert.notEqual(world.owner(VIP), victim);
  const back_ms = world.runUntil(
    () => world.node(victim).isAnswering(VIP) || world.node(victim).status.epoch > epoch,
    1000,
  );
  assert.ok(back_ms !== undefined);
  assert.equal(world.node(victim).isAnswering(VIP), false);
  assert.equal(world.node(victim).status.counters.distrusted_self, 1);
  settle(world);
});

test("a node that is stopped with the token in its hands does no harm when it wakes", () => {
  for (const pause_ms of [30, 60, 100, 150, 250, 1000]) {
    const world = new World({ seed: 5, nodes: 3 });
    world.startAndSettle();
    const holder = (() => {
      world.runUntil(() => world.holder !== undefined, 100);
      return world.holder?.nodeId ?? 0;
    })();
    world.pause(holder, pause_ms);
    world.run(pause_ms + 1);
    settle(world);
  }
});

test("a holder that was stopped too shortly to doubt itself waits for a lease that was renewed without it", () => {
  for (const pause_u of [10.5, 11.5, 12.5, 13.5]) {
    const world = new World({ seed: 5, nodes: 3 });
    world.startAndSettle();
    world.run(10 * world.timers.rotation_ms);
    // The token has just come to where it rests.
    world.runUntil(() => world.holder === undefined, 100);
    world.runUntil(() => world.holder !== undefined, 100);
    const first = world.holder?.nodeId ?? 0;
    const stopped = [first, (first % 3) + 1].map((nodeId) => world.node(nodeId));
    const alone = world.node(6 - first - ((first % 3) + 1));
    for (const node of stopped) node.pause(true);
    world.run(pause_u * world.unit_ms);
    assert.deepEqual(
      alone.view?.members.map(({ nodeId }) => nodeId),
      [alone.nodeId],
      "it has made a group of its own",
    );
    alone.pause();
    for (const node of stopped) node.resume();
    world.run(2 * world.timers.bound_ms);
    assert.deepEqual(world.checker.violations, []);
    assert.equal(world.node(first).status.counters.distrusted_self, undefined);
    for (const address of world.addresses) assert.notDeepEqual(world.answering(address), []);
  }
});

test("a restarted node comes back not ready, and its VIPs are taken over meanwhile", () => {
  const world = new World({ seed: 6, nodes: 3, vips: vipsOf(3, 2) });
  world.startAndSettle();
  world.run(300);
  assert.equal(world.owner(VIP), 2);
  world.node(2).crash();
  world.run(5);
  world.node(2).start();
  world.run(50);
  assert.notEqual(world.owner(VIP), 2);
  settle(world);
  world.run(300);
  assert.equal(world.owner(VIP), 2);
  assert.deepEqual(world.checker.violations, []);
});

test("a hand-over whose acknowledgements are all lost does not split the group: the returning token is proof enough", () => {
  // Quiet hand-overs are not answered at all.
  const world = new World({ seed: 14, nodes: 3, calmRounds: Number.MAX_SAFE_INTEGER });
  world.startAndSettle();
  world.network.loseAcks(2, 1);
  world.network.loseAcks(3, 2);
  world.network.loseAcks(1, 3);
  const { epoch } = world.node(1).status;
  world.run(1000);
  assert.ok(world.isSettled);
  assert.equal(world.node(1).status.epoch, epoch);
  assert.ok(countersOf(world, "hand_over_implied") > 0);
  assert.deepEqual(world.checker.violations, []);
});

test("a member that was removed while alive learns it at once and comes back", () => {
  const world = new World({ seed: 15, nodes: 3 });
  world.startAndSettle();
  world.run(200);
  const { epoch } = world.node(1).status;
  // Node 2 hears everything but tokens until it is removed.
  world.network.drop = (_from, to, _path, bytes) =>
    to === 2 &&
    isOfType(bytes, "token") &&
    world.node(1).status.epoch === epoch &&
    world.node(3).status.epoch === epoch;
  const lost_ms = world.runUntil(() => world.node(2).status.state === "joining", 500);
  assert.ok(lost_ms !== undefined && lost_ms <= world.timers.rotation_ms + world.timers.handOverFail_ms + 5);
  settle(world);
  assert.deepEqual(world.checker.violations, []);
});

test("a 911 is denied by a node with a newer copy, and the token is made again by that one", () => {
  for (let seed = 16; seed < 32; seed++) {
    const world = new World({ seed, nodes: 3, machinesLive: false });
    world.startAndSettle();
    world.run(200);
    const [first, second, third] = world.node(1).status.members.map(({ nodeId }) => world.node(nodeId));
    assert.ok(first && second && third);
    // The second takes the token from the first, which then has the newest copy, and dies with it. The third, which has not had it since before
    // it rested, misses it first.
    world.network.drop = (from, _to, _path, bytes) => from === second.nodeId && isOfType(bytes, "token");
    const before = second.status.counters.token_sent ?? 0;
    world.runUntil(() => (second.status.counters.token_sent ?? 0) > before, 2 * world.timers.rotation_ms);
    // Its acknowledgement arrives.
    world.run(1);
    second.crash();
    settle(world);
    assert.ok((third.status.counters.call_denied ?? 0) >= 1, `seed ${seed}`);
    assert.equal(first.status.counters.token_regenerated, 1, `seed ${seed}`);
    assert.equal(third.status.counters.token_regenerated, undefined, `seed ${seed}`);
  }
});

test("two 911 at the same moment make one token", () => {
  for (let seed = 20; seed < 40; seed++) {
    const world = new World({ seed, nodes: 5, timers: { callSpread_ms: 0 } });
    world.startAndSettle();
    world.runUntil(() => world.holder !== undefined, 500);
    world.holder?.crash();
    settle(world);
    assert.ok(countersOf(world, "token_regenerated") <= 1);
  }
});

test("a 911 while a hand-over is under way is denied by the node that hands over", () => {
  const world = new World({ seed: 17, nodes: 4 });
  world.startAndSettle();
  world.run(200);
  world.runUntil(() => world.holder?.nodeId === 1, 200);
  const successor = world.node(1).status.members[1]?.nodeId ?? 0;
  const order = world.node(1).status.members.map((member) => member.nodeId);
  const next = order[(order.indexOf(1) + 1) % order.length] ?? successor;
  world.node(next).crash();
  settle(world);
  assert.equal(countersOf(world, "token_regenerated"), 0);
  assert.equal(countersOf(world, "hand_over_failed"), 1);
});

test("of two nodes, either one survives the other", () => {
  for (const victim of [1, 2]) {
    const world = new World({ seed: 18, nodes: 2 });
    world.startAndSettle();
    world.run(300);
    world.node(victim).crash();
    world.run(400);
    for (const address of world.addresses) assert.deepEqual(world.answering(address), [3 - victim]);
    assert.deepEqual(world.node(3 - victim).lapses_ms, []);
    world.node(victim).start();
    settle(world);
  }
});

test("of two nodes, the one that is left serves on, however often its services have work", () => {
  const world = new World({ seed: 18, nodes: 2 });
  world.startAndSettle();
  world.node(1).crash();
  const left = world.node(2);
  const wakeOften = () => {
    left.wake();
    world.after(world.timers.rotation_ms / 3, wakeOften);
  };
  wakeOften();
  world.run(world.timers.bound_ms + 4 * world.timers.lease_ms);
  for (const address of world.addresses) assert.deepEqual(world.answering(address), [2]);
  assert.deepEqual(left.lapses_ms, []);
  assert.deepEqual(world.checker.violations, []);
});

test("groups that meet again become one, the smaller gives way, and no VIP has two owners for long", () => {
  const world = new World({ seed: 19, nodes: 5 });
  world.startAndSettle();
  world.network.cutBetween([1, 2], [3, 4, 5]);
  world.run(1000);
  assert.equal(world.node(1).status.members.length, 2);
  assert.equal(world.node(3).status.members.length, 3);
  world.network.mendBetween([1, 2], [3, 4, 5]);
  settle(world);
  assert.ok(lossesOf(world, 1) >= 1);
  assert.equal(lossesOf(world, 3), 0);
});

test("a token that went round elsewhere is refused, however high its epoch: an isolated holder cannot capture members", () => {
  const world = new World({ seed: 20, nodes: 6 });
  world.startAndSettle();
  world.run(200);
  world.runUntil(() => world.holder !== undefined, 100);
  const isolated = world.holder?.nodeId ?? 0;
  const others = world.nodes.map((node) => node.nodeId).filter((nodeId) => nodeId !== isolated);
  world.network.cutBetween([isolated], others);
  // Long enough for it to give up two successors, not long enough to give up all.
  world.run(2.5 * world.timers.handOverFail_ms);
  world.network.mendBetween([isolated], others);
  settle(world);
  assert.equal(lossesOf(world, isolated), 1);
});

test("with one of two paths dead everywhere, nothing is lost", () => {
  const world = new World({ seed: 21, nodes: 3 });
  world.network.drop = (_from, _to, path) => path === 0;
  world.startAndSettle();
  world.run(1000);
  assert.ok(world.isSettled);
  assert.equal(countersOf(world, "hand_over_failed"), 0);
  // The working path is remembered, so that not every hand-over pays for a resend.
  assert.ok(countersOf(world, "hand_over_resent") <= 2 * world.nodes.length);
});

test("a process that ends on a machine that lives is out of the view at once, wherever the token is", () => {
  for (let phase = 0; phase < 12; phase++) {
    for (const victim of [1, 3]) {
      const world = new World({ seed: 40 + phase, nodes: 4, machinesLive: true, calmRounds: 2 });
      world.startAndSettle();
      world.run(300 + (phase * world.timers.rotation_ms) / 12);
      world.node(victim).crash();
      const rest = world.nodes.filter(({ nodeId }) => nodeId !== victim);
      const isOut = () => rest.every((node) => node.status.members.length === 3);
      const took_ms = world.runUntil(isOut, world.timers.bound_ms);
      // A round of the token, or a call for it, and two questions for its port. A token at rest alone takes 6.
      assert.ok(took_ms !== undefined && took_ms < 4 * world.unit_ms, `${took_ms} ms at phase ${phase}`);
      settle(world);
    }
  }
});

test("rumours that processes have ended cost rounds of the token, and nobody's place", () => {
  const world = new World({ seed: 60, nodes: 5, machinesLive: true, calmRounds: 2 });
  world.startAndSettle();
  world.run(500);
  const { epoch } = world.node(1).status;
  for (let round = 0; round < 200; round++) {
    for (const node of world.nodes) node.suspect(1 + (round % 5));
    world.run((round % 10) * 1.3);
  }
  settle(world);
  assert.equal(world.node(1).status.epoch, epoch);
  assert.ok(countersOf(world, "suspected") >= 200);
  assert.equal(countersOf(world, "token_regenerated"), 0);
});

test("a first member that is a little late once makes nobody take itself for stopped", () => {
  for (let seed = 1; seed <= 8; seed++) {
    const world = new World({ seed, nodes: 4, calmRounds: 2 });
    world.startAndSettle();
    world.run(60 * world.timers.rotation_ms);
    world.runUntil(() => world.holder === undefined, 1000);
    world.runUntil(() => world.holder !== undefined, 1000);
    const [first = 0, second = 0, , last = 0] = world.holder?.status.members.map(({ nodeId }) => nodeId) ?? [];
    world.run(0.3 * world.unit_ms);
    world.node(second).suspect(last);
    world.pause(first, 6.05 * world.unit_ms);
    settle(world);
    world.run(20 * world.unit_ms);
    assert.equal(countersOf(world, "woke_late"), 0, `seed ${seed}`);
  }
});

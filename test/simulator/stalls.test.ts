// Machines stall: a hypervisor, a disk or a collector stops a process for tens of milliseconds, or all of them at once. That must cost
// no more than the stalled node its place, and never two owners.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { SimNode } from "./node.js";
import { World } from "./world.js";

const STARTUP_WAIT_MS = 1500;
const MOMENTS = 20;

/** A settled world, some time into its life; the moment differs from call to call within a rotation. */
function settledWorld(seed: number, nodes: number): World {
  const world = new World({ seed, nodes, startupWait_ms: STARTUP_WAIT_MS });
  world.startAndSettle();
  world.run(400 + (seed * world.timers.rotation_ms) / MOMENTS);
  return world;
}

function losses(node: SimNode): number {
  const counters = Object.entries(node.status.counters);
  return counters.filter(([name]) => name.startsWith("lost_")).reduce((sum, [, count]) => sum + count, 0);
}

/** Time from the end of the stall until all is well again. */
function recovery_ms(world: World): number {
  const took_ms = world.runUntil(() => world.isSettled, 4 * STARTUP_WAIT_MS);
  assert.deepEqual(world.checker.violations, []);
  assert.ok(took_ms !== undefined, "the cluster settles");
  return took_ms;
}

function stallAll(t: TestContext, nodes: number, dead: readonly number[]): void {
  let worst_ms = 0;
  for (const stall_ms of [70, 95, 130, 200, 400, 3000]) {
    for (let moment = 0; moment < MOMENTS; moment++) {
      const world = settledWorld(moment, nodes);
      for (const nodeId of dead) world.node(nodeId).crash();
      if (dead.length > 0) world.run(2 * world.timers.bound_ms);
      for (const node of world.nodes) if (node.isUp) world.pause(node.nodeId, stall_ms + world.random.between(0, 5));
      world.run(stall_ms + 6);
      worst_ms = Math.max(worst_ms, recovery_ms(world));
    }
  }
  t.diagnostic(`${nodes} nodes, ${dead.length} of them dead: all is well ${worst_ms.toFixed(1)} ms after the stall`);
  assert.ok(worst_ms <= 500, `${worst_ms} ms`);
}

test("a stall of all nodes at once is over soon after they wake, not a startup wait later", (t) => {
  stallAll(t, 3, []);
  stallAll(t, 5, []);
});

test("a stall of all nodes that are left, while another is dead, is over soon after they wake", (t) => {
  stallAll(t, 3, [2]);
  stallAll(t, 5, [1, 4]);
});

test("a stall of one node costs no other its membership", () => {
  for (const stall_ms of [40, 65, 80, 88, 100, 160, 400]) {
    for (let moment = 0; moment < MOMENTS; moment++) {
      const world = settledWorld(moment, 3);
      const victim = 1 + (moment % 3);
      const before = new Map(world.nodes.map((node) => [node.nodeId, losses(node)]));
      world.pause(victim, stall_ms);
      world.run(stall_ms + 1);
      recovery_ms(world);
      for (const node of world.nodes) {
        if (node.nodeId !== victim)
          assert.equal(losses(node), before.get(node.nodeId), `node ${node.nodeId}, stall ${stall_ms} of ${victim}`);
      }
    }
  }
});

test("a lone node that stalls for less than its lease goes on, and for longer asks around first", () => {
  const world = settledWorld(1, 1);
  world.pause(1, 120);
  world.run(121);
  assert.ok(recovery_ms(world) <= world.timers.rotation_ms);
  world.run(1000);
  world.pause(1, 1000);
  world.run(1001);
  assert.equal(world.node(1).status.state, "joining");
});

test("all configured nodes that start together form a group as soon as they have heard each other", () => {
  const world = new World({ seed: 3, nodes: 3, startupWait_ms: STARTUP_WAIT_MS });
  world.startAll();
  const took_ms = world.runUntil(() => world.isSettled, 2 * STARTUP_WAIT_MS);
  assert.ok(took_ms !== undefined && took_ms <= 2 * world.timers.bound_ms, `${took_ms} ms`);
  assert.deepEqual(world.checker.violations, []);
});

/** How long they run between two stops, and how long they are stopped, in units of the fail-over target: from, to. */
const STOP_AND_GO: readonly { what: string; runs_u: [number, number]; stops_u: [number, number] }[] = [
  { what: "for so long that they doubt what they have heard", runs_u: [34.5, 54.5], stops_u: [17, 25] },
  { what: "for a moment", runs_u: [8, 22], stops_u: [3.2, 9] },
];

for (const { what, runs_u, stops_u } of STOP_AND_GO) {
  test(`nodes that are stopped ${what} again and again while they join form a group, and serve`, (t) => {
    let worst_ms = 0;
    for (let seed = 0; seed < MOMENTS; seed++) {
      const world = new World({ seed, nodes: 3, startupWait_ms: STARTUP_WAIT_MS });
      const { unit_ms } = world.timers;
      // The third is dead, so that they have to wait out the leases that it might have.
      for (const nodeId of [1, 2]) {
        world.node(nodeId).start();
        for (let at_ms = 0; at_ms < 8 * STARTUP_WAIT_MS; ) {
          at_ms += world.random.between(...runs_u) * unit_ms;
          const stop_ms = world.random.between(...stops_u) * unit_ms;
          const node = world.node(nodeId);
          world.at(at_ms, () => node.status.state === "joining" && world.pause(nodeId, stop_ms));
          at_ms += stop_ms;
        }
      }
      const took_ms = world.runUntil(() => world.isSettled, 8 * STARTUP_WAIT_MS);
      assert.deepEqual(world.checker.violations, []);
      assert.ok(took_ms !== undefined, `seed ${seed}: nobody serves`);
      worst_ms = Math.max(worst_ms, took_ms);
    }
    t.diagnostic(`somebody serves ${worst_ms.toFixed(0)} ms after the start`);
    assert.ok(worst_ms <= 2 * STARTUP_WAIT_MS, `${worst_ms} ms`);
  });
}

// The largest clusters that there may be: what goes wrong only when very many nodes come at once.
import assert from "node:assert/strict";
import { test } from "node:test";
import { leastTarget_ms } from "../../lib/raincore/timers.js";
import { MEMBERS_MAX } from "../../lib/raincore/token.js";
import { World } from "./world.js";

/** Looking at all nodes costs as much as many events. */
const LOOK_EVERY = 64;

function settle(world: World, limit_ms: number): void {
  let events = 0;
  const took_ms = world.runUntil(() => ++events % LOOK_EVERY === 0 && world.isSettled, limit_ms);
  assert.ok(took_ms !== undefined, `the cluster does not become whole within ${limit_ms} ms`);
  assert.deepEqual(world.checker.violations, []);
}

test("256 nodes form one group; one that owns a VIP crashes, the others go on within the target, and it comes back", () => {
  const world = new World({ seed: 1, nodes: MEMBERS_MAX, failoverTarget_ms: leastTarget_ms(MEMBERS_MAX) });
  const { bound_ms } = world.timers;
  const [address = ""] = world.addresses;
  world.startAll();
  settle(world, world.startupWait_ms + bound_ms);

  const victim = world.node(world.owner(address) ?? 0);
  world.checker.resetSilence();
  victim.crash();
  settle(world, 2 * bound_ms);
  assert.notEqual(world.owner(address), victim.nodeId);
  // All timers of a node may be late.
  assert.ok(world.checker.longestSilence_ms(address) <= bound_ms + 2 * victim.options.timerLateness_ms);

  victim.start();
  settle(world, 2 * bound_ms);
  assert.equal(world.node(1).status.members.length, MEMBERS_MAX);
});

test("80 nodes that start together hear all of each other's first datagrams: none is refused because there are so many", () => {
  const nodes = 80;
  const world = new World({ seed: 2, nodes, failoverTarget_ms: leastTarget_ms(nodes), isSealed: true });
  const refused = new Map<string, number>();
  world.tracer = (_node, line) => {
    const cause = /^refused \S+ (\w+)/.exec(line)?.[1];
    if (cause !== undefined) refused.set(cause, (refused.get(cause) ?? 0) + 1);
  };
  world.startAll();
  settle(world, world.startupWait_ms);
  assert.ok((refused.get("handshake") ?? 0) >= nodes * (nodes - 1), "they do prove themselves to each other");
  assert.equal(refused.get("throttled"), undefined);
});

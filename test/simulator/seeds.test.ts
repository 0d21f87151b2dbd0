// Many seeds of random faults: whatever happens, no VIP has two owners, and once the faults end the cluster is whole
// again within a bound. A seed that fails replays exactly: see `runSeed`.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Persistence } from "../../lib/vip/policy.js";
import { ALL_FAULTS, CONNECTED_FAULTS, type Fault, planFaults } from "./faults.js";
import { FREE_VIPS, World } from "./world.js";

const FAULTS_MS = 2500;
const FLAGS: readonly Persistence[] = [0, 0, 1, 3];

interface Outcome {
  readonly world: World;
  readonly settled_ms: number | undefined;
}

/** 2 to 6 nodes with VIPs of all flags; faults for a while; then healing. */
function runSeed(seed: number, faults: readonly Fault[]): Outcome {
  const nodes = 2 + (seed % 5);
  const vips = FREE_VIPS.map((vip, index) => {
    const persistence = FLAGS[(index + seed) % 4] ?? 0;
    return { ...vip, persistence, preferredHost: persistence === 3 ? 1 + (seed % nodes) : 0 };
  });
  const world = new World({ seed, nodes, vips });
  world.startAll();
  world.run(world.startupWait_ms + 400);
  planFaults(world, FAULTS_MS, faults);
  world.run(FAULTS_MS + 1);
  return { world, settled_ms: world.runUntil(() => world.isSettled, 10 * world.startupWait_ms) };
}

function checkSeeds(first: number, count: number, faults: readonly Fault[]): void {
  for (let seed = first; seed < first + count; seed++) {
    const { world, settled_ms } = runSeed(seed, faults);
    assert.deepEqual(world.checker.violations, [], `seed ${seed}`);
    // Nodes that start at the end form no group while one exists; if none does, they wait for each other once.
    const bound_ms = 2 * world.startupWait_ms + 2 * world.timers.bound_ms;
    assert.ok(settled_ms !== undefined && settled_ms <= bound_ms, `seed ${seed} settled after ${settled_ms} ms`);
  }
}

test("200 seeds of crashes, pauses, partitions, one-way cuts, lost acknowledgements and storms are safe, and heal", () => {
  checkSeeds(1, 200, ALL_FAULTS);
});

test("300 seeds without any partition leave no excuse for two owners, and there are none", () => {
  checkSeeds(1001, 300, CONNECTED_FAULTS);
});

test("the same seed gives the same trace, another seed another one", () => {
  const hash = (seed: number) => runSeed(seed, ALL_FAULTS).world.traceHash;
  assert.equal(hash(7), hash(7));
  assert.notEqual(hash(7), hash(8));
});

test("the checker finds two owners where waits are shorter than leases", () => {
  const violations = [];
  for (let seed = 1; seed <= 10; seed++) {
    const world = new World({ seed, nodes: 3, timers: { lease_ms: 40 } });
    world.startAndSettle();
    const victim = world.owner(world.addresses[0] ?? "") ?? 1;
    world.pause(victim, 1000);
    world.run(1000);
    violations.push(...world.checker.violations);
  }
  assert.ok(violations.length > 0);
  assert.ok(violations.every(({ what }) => what.includes("both answer")));
});

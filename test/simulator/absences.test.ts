// Planned absences in a whole cluster: what a data plane that goes on alone is the owner of stays its own, and is had by others in bounded time if
// nobody comes back. Cases that seeds hardly ever draw.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Departure } from "./away.js";
import type { Quorum } from "./plan.js";
import { FREE_VIPS, World } from "./world.js";

const FOR_MS = 2000;
const SEEDS = [1, 2, 3, 4, 5];
/** Of nodes 1 and 2 in turn; they stay there. */
const VIPS = FREE_VIPS.map((vip, index) => ({ ...vip, persistence: 3, preferredHost: 1 + (index % 2) }) as const);

/** Node 1 is let go, and has VIPs. */
function letGo(seed: number, departure: Partial<Departure> = {}, quorum: Quorum = { policy: "available" }, nodes = 3) {
  const world = new World({ seed, nodes, quorum, mayBeAway: true, vips: VIPS });
  world.startAndSettle();
  const owned = world.addresses.filter((address) => world.owner(address) === 1);
  assert.ok(owned.length > 0);
  world.node(1).askAway({ for_ms: FOR_MS, lag_ms: 0, isKilled: false, back_ms: undefined, ...departure });
  world.runUntil(() => world.node(1).isAway, 1000);
  return { world, owned };
}

function assertSound(world: World): void {
  assert.deepEqual(world.checker.violations, []);
}

for (const isKilled of [false, true]) {
  test(`a node that is ${isKilled ? "killed once it has been let go" : "let go"} and comes back keeps what it has, and nobody is silent for a moment`, () => {
    for (const seed of SEEDS) {
      const { world, owned } = letGo(seed, { isKilled, back_ms: 500 });
      world.checker.resetSilence();
      world.run(1500);
      assert.equal(world.node(1).isHeld, false, "it has taken over");
      assert.ok(world.isEverybodyBack(world.nodes) && world.isSettled);
      for (const address of world.addresses)
        assert.equal(world.checker.longestSilence_ms(address), 0, `${address}, seed ${seed}`);
      assert.deepEqual(
        world.addresses.filter((address) => world.owner(address) === 1),
        owned,
      );
      assertSound(world);
    }
  });
}

test("what is a node's that does not come back is served again a lease and a fail-over after its time", () => {
  for (const seed of SEEDS) {
    const { world, owned } = letGo(seed);
    const { lease_ms, bound_ms } = world.timers;
    world.checker.resetSilence();
    world.run(FOR_MS + lease_ms + bound_ms);
    for (const address of owned) {
      assert.ok(world.owner(address) !== undefined && world.owner(address) !== 1);
      assert.ok(world.checker.longestSilence_ms(address) <= lease_ms + bound_ms);
    }
    assertSound(world);
  }
});

test("a VIP that is asked to move while its node is away moves when the node is back, and has one owner all the time", () => {
  for (const seed of SEEDS) {
    const { world, owned } = letGo(seed, { back_ms: 600 });
    world.after(200, () => world.node(2).vip.requestMove(owned[0] ?? "", 2));
    world.run(2000);
    assertSound(world);
    assert.equal(world.owner(owned[0] ?? ""), 2);
  }
});

test("a VIP that is asked to move when its node has been let go and has not left yet stays there", () => {
  for (const seed of SEEDS) {
    const { world, owned } = letGo(seed, { lag_ms: 100 });
    world.node(1).vip.requestMove(owned[0] ?? "", 2);
    world.run(1000);
    assertSound(world);
    assert.equal(world.owner(owned[0] ?? ""), 1);
  }
});

test("a VIP that is asked to move to a node which is about to be away is not without an owner", () => {
  for (const seed of SEEDS) {
    const { world } = letGo(seed, { lag_ms: 100 });
    const address = world.addresses.find((each) => world.owner(each) === 2) ?? "";
    assert.notEqual(address, "");
    world.node(2).vip.requestMove(address, 1);
    world.checker.resetSilence();
    world.run(1000);
    assert.ok(world.checker.longestSilence_ms(address) < 100, `${world.checker.longestSilence_ms(address)} ms`);
    assertSound(world);
  }
});

test("the others do not forget a node that is away when they lose their place", () => {
  for (const seed of SEEDS) {
    const { world } = letGo(seed, {}, { policy: "available" }, 2);
    world.run(200);
    world.pause(2, 700);
    world.run(FOR_MS);
    assert.ok(world.node(2).status.counters.lost_woke_late, "it has lost its place");
    assertSound(world);
  }
});

test("who was told and comes into the group of one that has begun anew tells it, before anybody has what is the absent node's", () => {
  for (const seed of SEEDS) {
    const { world, owned } = letGo(seed, { back_ms: 1900 }, { policy: "majority", tieBreaker: 1 });
    world.run(100);
    world.node(3).crash();
    world.node(3).start();
    // Until the other one has formed a group of its own, which may not serve.
    world.pause(2, 1000);
    world.run(1100);
    const { origin } = world.node(2).view ?? {};
    assert.equal(origin, 3, `seed ${seed}`);
    world.run(300);
    assert.ok(world.node(2).status.quorate);
    for (const address of owned) assert.equal(world.owner(address), 1);
    world.run(2500);
    for (const address of owned) assert.equal(world.owner(address), 1);
    assert.ok(world.isEverybodyBack(world.nodes));
    assertSound(world);
  }
});

test("with a majority, the others lose it for a moment and keep what is the absent node's", () => {
  for (const seed of SEEDS) {
    const { world, owned } = letGo(seed, { back_ms: 1700 }, { policy: "majority", tieBreaker: 1 });
    world.run(100);
    world.pause(2, 400);
    world.checker.resetSilence();
    world.run(2500);
    for (const address of owned) assert.equal(world.checker.longestSilence_ms(address), 0, `seed ${seed}`);
    assertSound(world);
  }
});

test("a node that has been let go and is asked once more has been let go", () => {
  for (const seed of SEEDS) {
    const { world } = letGo(seed, { lag_ms: 100 });
    world.node(1).askAway({ for_ms: 3000, lag_ms: 0, isKilled: false, back_ms: undefined });
    world.after(101, () => world.node(1).askAway({ for_ms: 3000, lag_ms: 0, isKilled: false, back_ms: undefined }));
    world.run(5000);
    assertSound(world);
  }
});

test("a node that is just back may be away again, and the others keep what is its own until after that", () => {
  for (const seed of SEEDS) {
    const { world } = letGo(seed, { back_ms: 300 });
    const again = { for_ms: 8000, lag_ms: 0, isKilled: false, back_ms: undefined };
    world.runUntil(() => world.node(1).life === 2 && world.node(1).status.state === "member", 3000);
    world.node(1).askAway(again);
    world.run(50);
    for (let asked = 0; asked < 20 && !world.node(1).isAway; asked++) {
      world.node(1).askAway(again);
      world.run(7);
    }
    assert.ok(world.node(1).isAway);
    world.run(9000);
    assertSound(world);
  }
});

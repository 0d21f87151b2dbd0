// What a node's death costs: how long its VIPs are silent, and that nobody else's are.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { CALM_ROUNDS_OF, RING_KINDS, type RingKind } from "./nodeOptions.js";
import { World } from "./world.js";

const MOMENTS = 12;

interface Cost {
  readonly silence_ms: number;
  readonly lapses: number;
}

/** Kills `victim` and reports the longest silence of any VIP, and how many leases of survivors ran out. */
function kill(world: World, victim: number): Cost {
  world.checker.resetSilence();
  world.node(victim).crash();
  world.run(3 * world.timers.bound_ms);
  assert.deepEqual(world.checker.violations, []);
  assert.ok(world.isSettled, "the survivors are one group, and every VIP has an owner");
  const silences = world.addresses.map((address) => world.checker.longestSilence_ms(address));
  const lapses = world.nodes.filter((node) => node.isUp).reduce((sum, node) => sum + node.lapses_ms.length, 0);
  return { silence_ms: Math.max(...silences), lapses };
}

/** A node that owns a VIP, with the token in its hands or without it. */
function chooseVictim(world: World, withToken: boolean): number {
  world.runUntil(() => world.holder !== undefined, 1000);
  const holder = world.holder?.nodeId ?? 0;
  const owners = new Set(world.addresses.map((address) => world.owner(address) ?? 0));
  const choice = [...owners].filter((nodeId) => nodeId !== 0 && (nodeId === holder) === withToken);
  const victim = choice[world.random.integer(0, choice.length - 1)];
  assert.ok(victim !== undefined);
  return victim;
}

function worstCost(t: TestContext, nodes: number, ring: RingKind, withToken: boolean): Cost {
  let worst: Cost = { silence_ms: 0, lapses: 0 };
  for (let moment = 0; moment < MOMENTS; moment++) {
    const world = new World({ seed: 100 * nodes + moment, nodes, calmRounds: CALM_ROUNDS_OF[ring] });
    world.startAndSettle();
    world.run(500 + (moment * world.timers.rotation_ms) / MOMENTS);
    const cost = kill(world, chooseVictim(world, withToken));
    worst = { silence_ms: Math.max(worst.silence_ms, cost.silence_ms), lapses: worst.lapses + cost.lapses };
  }
  t.diagnostic(`${nodes} nodes: longest silence ${worst.silence_ms.toFixed(1)} ms`);
  return worst;
}

for (const ring of RING_KINDS) {
  for (const nodes of [2, 3, 5, 8]) {
    for (const withToken of [false, true]) {
      const owner = `an owner ${withToken ? "with" : "without"} the token`;
      test(`of ${nodes} nodes in a ${ring} ring, the death of ${owner} is mended within the fail-over target`, (t) => {
        const cost = worstCost(t, nodes, ring, withToken);
        assert.ok(cost.silence_ms > 0 && cost.silence_ms <= 250);
        assert.equal(cost.lapses, 0, "no other node loses its lease");
      });
    }
  }
}

test("the fail-over target is what the operator sets", (t) => {
  for (const failoverTarget_ms of [100, 1000]) {
    const world = new World({ seed: failoverTarget_ms, nodes: 3, failoverTarget_ms, timerLateness_ms: 0.2 });
    world.startAndSettle();
    world.run(500);
    const { silence_ms } = kill(world, chooseVictim(world, true));
    t.diagnostic(`target ${failoverTarget_ms} ms: silence ${silence_ms.toFixed(1)} ms`);
    assert.ok(silence_ms <= failoverTarget_ms);
  }
});

test("timers that are up to 4 ms late cost no survivor its lease", () => {
  for (const ring of RING_KINDS) {
    for (let nodes = 3; nodes <= 8; nodes++) {
      const world = new World({ seed: nodes, nodes, timerLateness_ms: 4, calmRounds: CALM_ROUNDS_OF[ring] });
      world.startAndSettle();
      world.run(300);
      for (const withToken of [true, false]) assert.equal(kill(world, chooseVictim(world, withToken)).lapses, 0);
    }
  }
});

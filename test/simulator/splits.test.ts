// What it costs when several nodes are gone at once: each side of a split has every VIP again within the bound for so many.
import assert from "node:assert/strict";
import { test } from "node:test";
import { boundOfSeveral_ms } from "../../lib/raincore/timers.js";
import { CALM_ROUNDS_OF, RING_KINDS } from "./nodeOptions.js";
import { World } from "./world.js";

const MOMENTS = 60;
const STEP_MS = 0.25;
const NODES = [1, 2, 3, 4, 5];
/** Every pair of five, each to be the smaller part. */
const PAIRS = NODES.flatMap((a) => NODES.filter((b) => b > a).map((b) => [a, b]));

/** The longest time in which no node of a side answered for some VIP, by side. */
function longestSilences_ms(world: World, sides: readonly (readonly number[])[], for_ms: number): number[] {
  const longest_ms = sides.map(() => 0);
  const since_ms = sides.map(() => new Map(world.addresses.map((address) => [address, world.now_ms])));
  for (const end_ms = world.now_ms + for_ms; world.now_ms < end_ms; ) {
    world.run(STEP_MS);
    for (const [index, side] of sides.entries()) {
      for (const address of world.addresses) {
        const silent_ms = world.now_ms - (since_ms[index]?.get(address) ?? 0);
        longest_ms[index] = Math.max(longest_ms[index] ?? 0, silent_ms);
        if (side.some((nodeId) => world.node(nodeId).isAnswering(address))) since_ms[index]?.set(address, world.now_ms);
      }
    }
  }
  return longest_ms;
}

for (const ring of RING_KINDS) {
  const calmRounds = CALM_ROUNDS_OF[ring];
  for (const quorum of [{ policy: "majority", tieBreaker: 1 }, { policy: "available" }] as const) {
    test(`a split 2/3 of a ${ring} ring under ${quorum.policy} costs no side more than its bound`, (t) => {
      const worst_ms = { smaller: 0, larger: 0 };
      for (let moment = 0; moment < MOMENTS; moment++) {
        const smaller = PAIRS[moment % PAIRS.length] ?? [];
        const larger = NODES.filter((nodeId) => !smaller.includes(nodeId));
        const world = new World({ seed: 700 + moment, nodes: NODES.length, quorum, calmRounds, timerLateness_ms: 2 });
        world.startAndSettle();
        world.run(500 + (moment * world.timers.rotation_ms) / MOMENTS);
        world.network.cutBetween(smaller, larger);
        const { timers } = world;
        const [larger_ms = 0, smaller_ms = 0] = longestSilences_ms(world, [larger, smaller], 5 * timers.bound_ms);
        assert.deepEqual(world.checker.violations, []);
        const where = `cut off ${smaller}, moment ${moment}`;
        const most_ms = boundOfSeveral_ms(timers, smaller.length);
        assert.ok(larger_ms <= most_ms, `${where}: ${larger_ms} ms on the larger side, of ${most_ms}`);
        worst_ms.larger = Math.max(worst_ms.larger, larger_ms);
        worst_ms.smaller = Math.max(worst_ms.smaller, smaller_ms);
        if (quorum.policy === "majority") assert.ok(smaller_ms >= 4 * timers.bound_ms, "no VIP without a majority");
        else
          assert.ok(
            smaller_ms <= boundOfSeveral_ms(timers, larger.length),
            `${where}: ${smaller_ms} ms on the smaller side`,
          );
      }
      t.diagnostic(`longest silence: larger side ${worst_ms.larger} ms, smaller side ${worst_ms.smaller} ms`);
    });
  }
}

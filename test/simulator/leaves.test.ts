// A member that leaves hands the token on and is in no group any more, while those behind it, which are slow, have not passed it on: whoever handed the
// token to it must not take that for lost.
import assert from "node:assert/strict";
import { test } from "node:test";
import { RING_KINDS, type RingKind } from "./nodeOptions.js";
import { stage } from "./staged.js";

/** Who came in first stands at the end: the others came in behind the first member. */
const [LEAVER, LAST] = [1, 2];
const NODE_IDS = [LEAVER, LAST, 3, 4];
/** For how long the two behind the leaver are slow. */
const SLOW_U = [
  [0, 2],
  [1, 3],
  [2, 4],
  [3, 5],
] as const;

for (const ring of RING_KINDS) {
  for (const ends of [false, true]) {
    const how = `in a ${ring} ring${ends ? ", and its process ends" : ""}`;
    test(`whoever handed the token to a member that left waits for it (${how})`, () => {
      for (let leaves_u = 0.25; leaves_u < 4.5; leaves_u += 0.25)
        for (const [next_u, third_u] of SLOW_U) leave({ ring, ends, leaves_u, next_u, third_u });
    });
  }
}

interface Story {
  readonly ring: RingKind;
  /** The process of the one that left, at once. */
  readonly ends: boolean;
  readonly leaves_u: number;
  readonly next_u: number;
  readonly third_u: number;
}

function leave({ ring, ends, leaves_u, next_u, third_u }: Story): void {
  const places = { nodeIds: NODE_IDS, started: NODE_IDS, holder: LEAVER, previous: LAST };
  const { world, at, stall, now_u } = stage({ seed: 1, ...places, ring, machinesLive: ends });
  const leaver = world.node(LEAVER);
  const [first, next = 0, third = 0, last] = leaver.status.members.map(({ nodeId }) => nodeId);
  assert.deepEqual([first, last], [LEAVER, LAST]);
  at(leaves_u, () => leaver.leave());
  if (next_u > 0) stall(next, leaves_u - 0.1, leaves_u + next_u);
  stall(third, leaves_u - 0.1, leaves_u + third_u);
  world.runUntil(() => leaver.status.state === "closed", 500);
  if (ends) leaver.crash();
  while (now_u() < 30) world.run(0.5);
  const where = `left at ${leaves_u}, the next slow for ${next_u}, the third for ${third_u}`;
  for (const nodeId of [next, third, LAST]) {
    const { counters, members } = world.node(nodeId).status;
    assert.equal(counters.hand_over_absent ?? 0, 0, `${where}: node ${nodeId} took the one that left for lost`);
    assert.equal(counters.lost_diverged ?? 0, 0, `${where}: node ${nodeId} lost its place`);
    assert.equal(members.length, 3, where);
  }
  assert.deepEqual(world.checker.violations, [], where);
}
